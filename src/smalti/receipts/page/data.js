// Reading the receipts of pictures in the page.

const SPRITES = JSON.parse(el("sprites").textContent);

// How a receipt is spoken of where that depends on what drew the picture; and functions that are called with the state
// whenever something else is shown. Pages that show more than a receipt put their own here.
const SAYS = {
  finished: "the finished picture",
  matched: "the finished picture",
  drawn: ({ run }) => [`Made by the ${run.machine} machine from `],
  picture: (receipt, step, finished) =>
    `${finished ? "The finished picture" : `The estimate at step ${step.step}`} of seed ${receipt.seed}, ` +
    `${receipt.width} pixels wide and ${receipt.height} high. It owes most to `,
  weight: "Weight",
  pixel: () => "",
  facts: () => [],
};
const SHOWN = [];

// The picture of an item; a hatched field where the page does not carry it.
function spriteOf(item, alt, attributes = {}) {
  if (SPRITES[item.id]) return make("img", { src: SPRITES[item.id], alt, ...attributes });
  return make("span", { role: alt ? "img" : null, "aria-label": alt || null, ...attributes, class: `${attributes.class ?? ""} absent` });
}

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

const shareOf = (receipt, units) => Number(units) / Number(receipt.whole);
const patchText = (size) => (size ? `patches of ${size} × ${size}` : "whole pictures compared");
const stepText = (step) => `Step ${step.step}, time ${Number(step.time.toFixed(4))}, ${patchText(step.patch_size)}`;
