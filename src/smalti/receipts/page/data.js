// Reading the receipts in the page. All that is shown comes from here; text of users goes in as text nodes, never as HTML.

const el = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

// Units of large pictures exceed 2^53, so whole numbers of 16 digits and more are kept as text, and counted as BigInt.
const LONG_WHOLE = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;
const parse = (text) => JSON.parse(text.replace(LONG_WHOLE, (found) => (found[0] === '"' ? found : `"${found}"`)));

const SPRITES = JSON.parse(el("sprites").textContent);

// The picture of an item; a hatched field where the page does not carry it.
function spriteOf(item, alt, attributes = {}) {
  if (SPRITES[item.id]) return make("img", { src: SPRITES[item.id], alt, ...attributes });
  return make("span", { role: alt ? "img" : null, "aria-label": alt || null, ...attributes, class: `${attributes.class ?? ""} absent` });
}

// A name within a sentence: of bounded length, and not mixed up with the sentence where it is written from the right.
function named(name) {
  const letters = [...name];
  return `\u2068${letters.length > 60 ? `${letters.slice(0, 59).join("")}…` : name}\u2069`;
}
const SCRIPTS = [...document.querySelectorAll("script.receipt")];
const SEEDS = SCRIPTS.map((script) => script.dataset.seed);

function readReceipt(seed) {
  const record = parse(SCRIPTS[SEEDS.indexOf(seed)].textContent);
  const [height, width] = record.run.size;
  const area = height * width;
  const perPixel = BigInt(record.units_per_pixel);
  return { ...record, seed, height, width, area, channels: record.run.channels, perPixel, whole: BigInt(area) * perPixel, mosaics: [] };
}

// Items of a pixel, most weight first.
function itemsAt(receipt, step, pixel) {
  const { items, item_units: units } = step.pixels;
  const depth = items.length / receipt.area;
  const found = [];
  for (let k = pixel * depth; k < (pixel + 1) * depth; k++) {
    if (items[k] >= 0) found.push({ item: items[k], share: units[k] / Number(receipt.perPixel) });
  }
  return found;
}

// Patches of a pixel, most weight first.
function sourcesAt(receipt, step, pixel) {
  const { sources, rows, cols, weights } = step.pixels;
  const depth = sources.length / receipt.area;
  const found = [];
  for (let k = pixel * depth; k < (pixel + 1) * depth; k++) {
    if (sources[k] >= 0) found.push({ item: sources[k], row: rows[k], column: cols[k], share: weights[k] });
  }
  return found;
}

const topItem = (receipt, step, pixel) => step.pixels.items[pixel * (step.pixels.items.length / receipt.area)];
const topShare = (receipt, step, pixel) =>
  step.pixels.item_units[pixel * (step.pixels.item_units.length / receipt.area)] / Number(receipt.perPixel);

// What an item counts as in a column; null where it has no entry.
function groupOf(item, column) {
  if (column === "label" && item.label !== null) return item.label;
  return Object.hasOwn(item.metadata, column) ? item.metadata[column] : null;
}

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const twoPlaces = (value) => (value < 1000 ? value.toFixed(2) : whole.format(value));
// Only nothing is 0 %, and only all is 100 %.
function percent(share) {
  if (share === 0 || share === 1) return `${100 * share}\u00a0%`;
  if (share < 0.00005) return "<0.01\u00a0%";
  return share < 0.99995 ? `${(100 * share).toFixed(2)}\u00a0%` : ">99.99\u00a0%";
}
const shareOf = (receipt, units) => Number(units) / Number(receipt.whole);
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
const dayOf = (created) => (Number.isNaN(Date.parse(created)) ? "" : `, ${day.format(new Date(created))}`);
const shortId = (item) => item.id.slice(0, 8);
const count = (number, one, many = `${one}s`) => `${whole.format(number)} ${number === 1 ? one : many}`;
const patchText = (size) => (size ? `patches of ${size} × ${size}` : "whole pictures compared");
const stepText = (step) => `Step ${step.step}, time ${Number(step.time.toFixed(4))}, ${patchText(step.patch_size)}`;
