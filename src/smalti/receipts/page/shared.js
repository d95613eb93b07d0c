// What the pages of pictures and of texts have in common. All that is shown comes from the receipts in the page; text
// of users goes in as text nodes, never as HTML.

const el = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

// Units of large samples exceed 2^53, so whole numbers of 16 digits and more are kept as text, and counted as BigInt.
const LONG_WHOLE = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;
const parse = (text) => JSON.parse(text.replace(LONG_WHOLE, (found) => (found[0] === '"' ? found : `"${found}"`)));

// A name within a sentence: of bounded length, and not mixed up with the sentence where it is written from the right.
function named(name) {
  const letters = [...name];
  return `\u2068${letters.length > 60 ? `${letters.slice(0, 59).join("")}…` : name}\u2069`;
}
const SCRIPTS = [...document.querySelectorAll("script.receipt")];
const SEEDS = SCRIPTS.map((script) => script.dataset.seed);

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const twoPlaces = (value) => (value < 1000 ? value.toFixed(2) : whole.format(value));
// Only nothing is 0 %, and only all is 100 %.
function percent(share) {
  if (share === 0 || share === 1) return `${100 * share}\u00a0%`;
  if (share < 0.00005) return "<0.01\u00a0%";
  return share < 0.99995 ? `${(100 * share).toFixed(2)}\u00a0%` : ">99.99\u00a0%";
}
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
const dayOf = (created) => (Number.isNaN(Date.parse(created)) ? "" : `, ${day.format(new Date(created))}`);
const shortId = (item) => item.id.slice(0, 8);
const count = (number, one, many = `${one}s`) => `${whole.format(number)} ${number === 1 ? one : many}`;

function nameOf(item) {
  return make("bdi", { class: "name", title: item.name }, item.name);
}

function bar(name, share) {
  const fill = make("span");
  fill.style.width = `${100 * share}%`;
  return make("li", {}, name, make("span", { class: "bar", "aria-hidden": "true" }, fill), make("span", { class: "figure" }, percent(share)));
}

// The button that changes between light and dark; `changed` is called after each change.
function buildLook(changed = () => {}) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.look ?? (dark.matches ? "dark" : "light")) === "dark";
  const label = () => {
    el("look").textContent = isDark() ? "Light look" : "Dark look";
    changed();
  };
  el("look").addEventListener("click", () => {
    document.documentElement.dataset.look = isDark() ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();
}
