// What is chosen, and keeping text, label, lists and address in step with it.

const state = { receipt: null, index: 0, view: "copy" };
let mark = null;
let grouping = "document";
let held = false;

const say = (text) => (el("live").textContent = text);

function openSeed(seed) {
  state.receipt = readReceipt(seed);
  const { receipt } = state;
  receipt.shortest = Math.min(...Object.keys(receipt.match.inside).map(Number));
  mark = null;
  state.index = Math.min(state.index, receipt.tokens.length - 1);
  if (!["document", ...receipt.columns].includes(grouping)) grouping = "document";
}

function showReceipt() {
  const { receipt } = state;
  const { run, seed } = receipt;
  const machine = run.settings.machine;
  document.title = `Receipt of seed ${seed}`;
  el("title").textContent = `Seed ${seed}`;
  el("about").replaceChildren(
    `${count(run.length, "token")} (${run.tokens})${dayOf(run.created)}`,
    make("br"),
    `Made under ${machine.noise} noise from `,
    ...(run.source ? [make("bdi", {}, run.source), ", "] : []),
    `${count(run.corpus_documents, "document")} with ${count(run.corpus_characters, "character")}`,
  );
  showAfter(receipt);
  el("plain").textContent = receipt.text;
  el("tokens").setAttribute("aria-label", `Tokens of seed ${seed}`);
  el("unit-text").textContent = whole.format(receipt.perToken);
  showRecord(receipt, [["Text", receipt.file], ["SHA-256 of the text", receipt.sha256]]);
  buildGroupings("document", receipt.columns, grouping, (column) => {
    grouping = column;
    showCredits(receipt, grouping, mark, setMark);
  });
  buildTokens(receipt);
  showUniqueness(receipt);
  showLists();
  showView();
}

function showLists() {
  showCredits(state.receipt, grouping, mark, setMark);
  showSpans(state.receipt, mark, setMark);
}

function showView() {
  const { receipt, view } = state;
  const marked = mark && tokensMarked(receipt, mark);
  paintTokens(receipt, view, marked);
  el("caption").textContent = VIEWS[view].caption(receipt);
  markTab(view);
  const { low, high } = VIEWS[view];
  el("scale").hidden = !low;
  if (low) {
    el("scale-low").textContent = low(receipt);
    el("scale-high").textContent = high(receipt);
  }
  el("marked").hidden = !mark;
  if (mark) {
    const tokens = marked.filter(Boolean).length;
    const of = `${count(tokens, "token")} of ${whole.format(receipt.tokens.length)}`;
    const group = mark.value === null ? `documents without ${mark.column}` : `${mark.column} ${named(String(mark.value))}`;
    const name = mark.document === undefined ? group : named(receipt.documents[mark.document].name);
    el("marked-text").textContent = mark.span !== undefined ? `${of} ${tokens === 1 ? "lies" : "lie"} in this span.` : `${of} ${tokens === 1 ? "owes" : "owe"} most to ${name}.`;
  }
  showChosen();
}

function showChosen() {
  const { receipt, index } = state;
  el("tokens").querySelector(".chosen")?.setAttribute("aria-selected", "false");
  el("tokens").querySelector(".chosen")?.classList.remove("chosen");
  receipt.nodes[index].classList.add("chosen");
  receipt.nodes[index].setAttribute("aria-selected", "true");
  el("tokens").setAttribute("aria-activedescendant", `token-${index}`);
  el("tokens").classList.toggle("held", held);
  showToken(state);
  writeAddress(addressed);
}

function setMark(chosen, table, row) {
  mark = chosen;
  showLists();
  if (chosen?.span !== undefined) state.index = tokensOf(state.receipt, state.receipt.match.spans[chosen.span])[0];
  if (chosen?.span !== undefined && state.view !== "match") state.view = "match";
  showView();
  say(chosen ? el("marked-text").textContent : "Nothing is marked.");
  if (table) el(table).tBodies[0].rows[row].querySelector("button").focus({ preventScroll: true });
  const first = chosen && tokensMarked(state.receipt, chosen).indexOf(true);
  if (chosen && first >= 0) reveal(first);
}

function reveal(index) {
  const node = state.receipt.nodes[index];
  const [box, inner] = [el("tokens").getBoundingClientRect(), node.getBoundingClientRect()];
  if (inner.top < box.top) el("tokens").scrollTop -= box.top - inner.top + 8;
  if (inner.bottom > box.bottom) el("tokens").scrollTop += inner.bottom - box.bottom + 8;
}

function choose(index) {
  if (index === state.index) return;
  state.index = index;
  showChosen();
}

// The token a line above or below: the one nearest to the same column.
function across(index, lines) {
  const { nodes } = state.receipt;
  const middle = (box) => (box.left + box.right) / 2;
  const own = nodes[index].getBoundingClientRect();
  const tall = parseFloat(getComputedStyle(el("tokens")).lineHeight);
  const wanted = own.top + lines * tall;
  let best = index;
  let least = Infinity;
  for (const [k, node] of nodes.entries()) {
    const box = node.getClientRects()[0];
    if (!box || Math.abs(box.top - own.top) < tall / 2) continue;
    if (Math.sign(box.top - own.top) !== Math.sign(lines)) continue;
    const off = 1000 * Math.round(Math.abs(box.top - wanted) / tall) + Math.abs(middle(box) - middle(own));
    if (off < least) [best, least] = [k, off];
  }
  return best;
}

function onKey(event) {
  if (event.altKey || event.metaKey) return;
  const { index, receipt } = state;
  const last = receipt.tokens.length - 1;
  const stride = event.shiftKey ? 10 : 1;
  const to = {
    ArrowLeft: () => index - stride,
    ArrowRight: () => index + stride,
    ArrowUp: () => across(index, -1),
    ArrowDown: () => across(index, 1),
    Home: () => 0,
    End: () => last,
    PageUp: () => across(index, -8),
    PageDown: () => across(index, 8),
  }[event.key];
  if (to) {
    choose(Math.min(last, Math.max(0, to())));
    reveal(state.index);
    say(spokenToken(state));
  } else if (event.key === "Enter" || event.key === " ") hold(!held);
  else if (event.key === "Escape") hold(false);
  else return;
  event.preventDefault();
}

function hold(now) {
  held = now;
  showChosen();
}

function selectView(view) {
  state.view = view;
  showView();
}

function buildSeeds() {
  el("seeds").hidden = SEEDS.length < 2;
  for (const seed of SEEDS) {
    const input = make("input", { type: "radio", name: "seed", value: seed });
    input.checked = seed === state.receipt.seed;
    input.addEventListener("change", () => {
      openSeed(seed);
      showReceipt();
    });
    el("seed-list").append(make("label", { title: `Seed ${seed}` }, input, make("span", {}, seed)));
  }
}

const addressed = () => ({ seed: state.receipt.seed, token: state.index, view: state.view });

function readAsked(asked) {
  const token = Number(asked.get("token") ?? NaN);
  if (Number.isInteger(token) && token >= 0 && token < state.receipt.tokens.length) state.index = token;
  else if (!asked.has("token")) state.index = Math.max(0, state.receipt.tokens.findIndex(drawn));
}

const restore = () => readAddress(state, openSeed, readAsked, showReceipt);

buildTabs(({ label }) => [make("span", {}, label)], selectView);
el("tokens").addEventListener("keydown", onKey);
for (const [kind, how] of [["pointermove", "hover"], ["click", "click"]]) {
  el("tokens").addEventListener(kind, (event) => {
    const node = event.target.closest?.(".token");
    if (!node || (how === "hover" && (held || event.pointerType === "touch"))) return;
    const index = Number(node.dataset.token);
    if (how === "click") {
      const same = index === state.index;
      choose(index);
      hold(same ? !held : true);
      say(spokenToken(state));
    } else choose(index);
  });
}
el("unmark").addEventListener("click", () => {
  setMark(null);
  el("tokens").focus();
});
addEventListener("hashchange", restore);
restore();
buildSeeds();
buildLook();
