// What is chosen, and keeping picture, label, tables and address in step with it.

const state = { receipt: null, step: null, index: 0, x: 0, y: 0, view: "picture" };
let mark = null;
let grouping = "item";
const stage = new Stage((x, y, how) => {
  if (x === state.x && y === state.y && how === "hover") return;
  Object.assign(state, { x, y });
  show("pixel");
  if (how !== "hover") say(spokenPixel(state));
});
const creditTable = new CreditTable((chosen, row) => {
  setMark(chosen);
  el("credits").tBodies[0].rows[row].querySelector("button").focus({ preventScroll: true });
  stage.reveal();
});
const showSummary = summaryTable();

const say = (text) => (el("live").textContent = text);

function setMark(chosen) {
  mark = chosen;
  show("marks");
  say(chosen ? el("marked-text").textContent : "Nothing is marked.");
}

// Reads a seed's receipt; the view and, where they fit, step and pixel stay.
function openSeed(seed) {
  const step = state.step?.step;
  state.receipt = readReceipt(seed);
  mark = null;
  const { width, height, columns } = state.receipt;
  if (step === undefined) Object.assign(state, { x: width >> 1, y: height >> 1 });
  state.x = Math.min(state.x, width - 1);
  state.y = Math.min(state.y, height - 1);
  setStep(step);
  if (!["item", ...columns].includes(grouping)) grouping = "item";
}

// The step of this number, or the last one.
function setStep(number) {
  const { steps } = state.receipt;
  const found = steps.findIndex(({ step }) => step === number);
  state.index = found < 0 ? steps.length - 1 : found;
  state.step = steps[state.index];
}

const PARTS = ["receipt", "step", "view", "marks", "pixel"];

// Shows what changed and all that depends on it.
function show(changed) {
  const from = PARTS.indexOf(changed);
  if (from <= 0) showReceipt();
  if (from <= 1) showStep();
  if (from <= 3) showView();
  if (from === 3) creditTable.show(state, grouping, mark);
  if (from === 4) stage.drawMarks();
  showPixel(state);
  for (const shown of SHOWN) shown(state, changed);
  writeAddress(addressed);
}

function showReceipt() {
  const { receipt } = state;
  const { run, seed } = receipt;
  const size = ([height, width]) => `${width} × ${height}`;
  document.title = `Receipt of seed ${seed}`;
  el("title").textContent = `Seed ${seed}`;
  el("about").replaceChildren(
    `${size(run.size)} pixels${dayOf(run.created)}`,
    make("br"),
    ...SAYS.drawn(receipt),
    ...(run.source ? [make("bdi", {}, run.source), ", "] : []),
    `${count(run.corpus_items, "picture")} of ${size(run.corpus_size)} pixels`,
    ...(run.label === null ? [] : [", of the label ", make("bdi", {}, run.label)]),
  );
  el("views").style.setProperty("--aspect", receipt.width / receipt.height);
  const last = receipt.steps.length - 1;
  el("step").max = last;
  el("stepper").classList.toggle("single", last === 0);
  el("step").disabled = last === 0;
  document.body.classList.toggle("alpha", receipt.channels === 4);
  el("unit-text").textContent = whole.format(receipt.perPixel);
  el("summary-text").textContent = `${receipt.summary.text[0].toUpperCase()}${receipt.summary.text.slice(1)}.`;
  showSummary(receipt);
  showRecord(receipt, [["Picture", receipt.picture.file], ["SHA-256 of its pixels", receipt.picture.sha256], ...SAYS.facts(receipt)]);
  buildGroupings("item", receipt.columns, grouping, (column) => {
    grouping = column;
    creditTable.show(state, grouping, mark);
  });
}

function showStep() {
  const { receipt, step, index } = state;
  const finished = index === receipt.steps.length - 1;
  el("step").value = index;
  const text = `${stepText(step)}${finished ? `: ${SAYS.finished}` : ""}`;
  el("step-text").textContent = text;
  el("step").setAttribute("aria-valuetext", text);
  for (const [name, view] of Object.entries(VIEWS)) {
    const drawn = view.draw(receipt, index);
    const tab = el(`view-${name}`);
    drawInto(tab.querySelector("canvas"), receipt, drawn, [36, 32]);
    if (name === "picture") el("plate-caption").textContent = drawn.caption;
    tab.querySelector(".range").textContent = drawn.ramp ? `${drawn.low} to ${drawn.high}` : "";
  }
  el("credit-text").textContent =
    `${SAYS.weight} at step ${step.step}, ${finished ? SAYS.finished : `time ${Number(step.time.toFixed(4))}`}, summed over the pixels.`;
  creditTable.show(state, grouping, mark);
}

function showView() {
  const { receipt, index, view, step } = state;
  const drawn = VIEWS[view].draw(receipt, index);
  const marked = mark && pixelsOf(receipt, step, mark);
  stage.show(state, drawn, marked);
  el("canvas").setAttribute("role", "img");
  el("canvas").setAttribute("aria-label", drawn.caption);
  el("stage").setAttribute("aria-label", `${VIEWS[view].label} of seed ${receipt.seed}`);
  el("caption").textContent = drawn.caption;
  markTab(view);
  el("scale").hidden = !drawn.ramp;
  if (drawn.ramp) {
    el("scale-low").textContent = drawn.low;
    el("scale-high").textContent = drawn.high;
    const pen = el("scale-bar").getContext("2d");
    for (let i = 0; i < 128; i++) {
      pen.fillStyle = `rgb(${ramp(drawn.ramp, i / 127).join(" ")})`;
      pen.fillRect(i, 0, 1, 1);
    }
  }
  showKey();
  el("marked").hidden = !mark;
  if (marked) {
    const group = mark.value === null ? `items without ${mark.column}` : `${mark.column} ${named(String(mark.value))}`;
    const name = mark.item === undefined ? group : named(receipt.items[mark.item].name);
    const owing = marked.reduce((sum, one) => sum + one, 0);
    el("marked-text").textContent = `${count(owing, "pixel")} of ${whole.format(receipt.area)} ${owing === 1 ? "owes" : "owe"} most to ${name}.`;
  }
}

// The key of the mosaic: its largest items. Hidden in the other views, but printed.
function showKey() {
  const { colours, order, sizes } = mosaicOf(state.receipt, state.index);
  const shown = order.slice(0, 24).map((item) => {
    const swatch = make("span", { class: "chip", "aria-hidden": "true" });
    swatch.style.background = `rgb(${glass(colours.get(item)).join(" ")})`;
    return make("li", {}, swatch, nameOf(state.receipt.items[item]), make("span", { class: "where" }, whole.format(sizes.get(item))));
  });
  if (order.length > 24) shown.push(make("li", { class: "where" }, `and ${count(order.length - 24, "more item")}`));
  el("key").replaceChildren(...shown);
  el("key").classList.toggle("aside", state.view !== "mosaic");
}

function selectView(view) {
  state.view = view;
  show("view");
}

// One picture for each seed. Those not shown are read one at a time, when nothing else is to be done.
function buildSeeds() {
  el("seeds").hidden = SEEDS.length < 2;
  if (SEEDS.length < 2) return;
  const waiting = [];
  for (const seed of SEEDS) {
    const input = make("input", { type: "radio", name: "seed", value: seed });
    const canvas = make("canvas", { "aria-hidden": "true" });
    input.addEventListener("change", () => {
      openSeed(seed);
      show("receipt");
    });
    el("seed-list").append(make("label", { title: `Seed ${seed}` }, input, canvas, make("span", {}, seed)));
    waiting.push([seed, canvas]);
  }
  const next = () => {
    const [seed, canvas] = waiting.shift();
    const receipt = seed === state.receipt.seed ? state.receipt : readReceipt(seed);
    drawInto(canvas, receipt, { data: paintPixels(receipt, receipt.picture.pixels) }, [88, 44]);
    if (waiting.length) setTimeout(next, 0);
  };
  setTimeout(next, 0);
}

const addressed = () => {
  const { receipt, step, x, y, view } = state;
  return { seed: receipt.seed, step: step.step, x, y, view };
};

function readAsked(asked) {
  if (asked.has("step")) setStep(Number(asked.get("step")));
  for (const [axis, length] of [["x", state.receipt.width], ["y", state.receipt.height]]) {
    const place = Number(asked.get(axis) ?? NaN);
    if (Number.isInteger(place) && place >= 0 && place < length) state[axis] = place;
  }
}

const restore = () => readAddress(state, openSeed, readAsked, () => show("receipt"));

buildTabs(
  ({ label }) => [make("canvas", { "aria-hidden": "true" }), make("span", {}, label), make("span", { class: "range", "aria-hidden": "true" })],
  selectView,
);
el("step").addEventListener("input", () => {
  setStep(state.receipt.steps[Number(el("step").value)].step);
  show("step");
});
el("unmark").addEventListener("click", () => {
  setMark(null);
  el("stage").focus();
});
addEventListener("hashchange", restore);
restore();
buildSeeds();
buildLook(() => stage.layOut());
for (const input of document.querySelectorAll("#seed-list input")) input.checked = input.value === state.receipt.seed;
