// What frames a receipt, of a picture or of a text: its record and notes, tabs, groupings, and the address of the page.

// The record's figures; `own` are those of the file.
function showRecord(receipt, own) {
  const { run } = receipt;
  const facts = [
    ["Run", run.folder],
    ...own,
    ["Corpus digest", run.corpus_digest],
    ["Made with", Object.entries(run.versions).map(([name, version]) => `${name} ${version}`).join(", ")],
    ["Format", receipt.format],
  ];
  el("record").replaceChildren(
    ...facts.filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, make("bdi", {}, value))]),
  );
  el("notes").textContent = receipt.notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`).join(" ");
  el("notes").hidden = receipt.notes.length === 0;
  for (const input of document.querySelectorAll("#seed-list input")) input.checked = input.value === receipt.seed;
}

// What credit can be counted by: single items, called `one`, and columns. `choose` is called with what a person chose.
function buildGroupings(one, columns, chosen, choose) {
  el("grouping").replaceChildren(
    el("grouping").firstElementChild,
    ...[one, ...columns].map((column) => {
      const input = make("input", { type: "radio", name: "grouping", value: column });
      input.checked = column === chosen;
      input.addEventListener("change", () => choose(column));
      return make("label", {}, input, make("bdi", {}, `By ${column}`));
    }),
  );
  el("grouping").hidden = columns.length === 0;
}

// A tab for each view; `content` gives what stands in it, `select` is called with the name of the one chosen.
function buildTabs(content, select) {
  const names = Object.keys(VIEWS);
  for (const [k, name] of names.entries()) {
    const tab = make("button", { type: "button", role: "tab", id: `view-${name}`, "aria-controls": "exhibit" }, ...content(VIEWS[name]));
    tab.addEventListener("click", () => select(name));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: k - 1, ArrowRight: k + 1, Home: 0, End: names.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = names[(to + names.length) % names.length];
      select(next);
      el(`view-${next}`).focus();
    });
    el("views").append(tab);
  }
}

function markTab(view) {
  el("exhibit").setAttribute("aria-labelledby", `view-${view}`);
  for (const tab of el("views").children) {
    const chosen = tab.id === `view-${view}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
}

// Pointing changes the address many times a second, which browsers do not like: it is written when it rests.
let resting = 0;
let restoring = false;
function writeAddress(parts) {
  if (restoring) return;
  clearTimeout(resting);
  resting = setTimeout(() => {
    history.replaceState(null, "", `#${Object.entries(parts()).map(([name, value]) => `${name}=${value}`).join("&")}`);
  }, 200);
}

// What the address asks for, where it makes sense; the rest stays. `read` takes what is not the seed or the view.
function readAddress(state, openSeed, read, show) {
  const asked = new URLSearchParams(location.hash.slice(1));
  const seed = asked.get("seed");
  if (SEEDS.includes(seed) ? seed !== state.receipt?.seed : !state.receipt) openSeed(SEEDS.includes(seed) ? seed : SEEDS[0]);
  read(asked);
  if (Object.hasOwn(VIEWS, asked.get("view") ?? "")) state.view = asked.get("view");
  restoring = true;
  show();
  restoring = false;
}

// What hangs stays in sight beside long tables; what is taller than the window sticks by its lower edge.
new ResizeObserver(([{ target }]) => target.style.setProperty("--height", `${target.offsetHeight}px`)).observe(el("hang"));
