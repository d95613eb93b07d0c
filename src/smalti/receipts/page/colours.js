// Colours of the maps and of the mosaic. They are part of the pictures, so the dark look does not change them.

const RAMPS = {
  copy: ["f6efdf", "ecc98f", "dd9150", "b9542f", "7d2a33", "371430"],
  sources: ["f1f1e6", "bfd8cc", "77b1b0", "3b8099", "234f7d", "141f4b"],
  apart: ["f0f3ea", "cbdfb7", "92bd8c", "529472", "2b6254", "123936"],
  match: ["f4eff1", "d6c3dc", "ab93c9", "7c66ac", "503f85", "231b4e"],
};

const fromHex = (hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
const STOPS = Object.fromEntries(Object.entries(RAMPS).map(([name, stops]) => [name, stops.map(fromHex)]));

// The colour of a value in [0, 1] on a ramp.
function ramp(name, value) {
  const stops = STOPS[name];
  const place = Math.min(1, Math.max(0, value)) * (stops.length - 1);
  const below = Math.min(Math.floor(place), stops.length - 2);
  return stops[below].map((from, i) => Math.round(from + (stops[below + 1][i] - from) * (place - below)));
}

// Glass, as mosaics are made of; then as many more as it takes, by the golden angle.
const GLASS = [
  "2f4f8f", "d3a13b", "c8502f", "3c7f5f", "e6dcc3", "7a2e3e", "8db8d8", "7b5ea7",
  "d98c94", "8a8b3f", "4fa3a5", "6b4a32", "2b2d42", "e8b07a", "a9bf9a", "b06aa0",
].map(fromHex); // prettier-ignore

function glass(k) {
  if (k < GLASS.length) return GLASS[k];
  const hue = (k * 137.508 * Math.PI) / 180;
  const light = [0.72, 0.5, 0.6, 0.4, 0.82][k % 5];
  return fromLab([light, 0.11 * Math.cos(hue), 0.11 * Math.sin(hue)]);
}

// OKLab (Ottosson 2020), in which equal distances look about equal.
function toLab(colour) {
  const [r, g, b] = colour.map((v) => (v <= 10.31475 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromLab([light, a, b]) {
  const l = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (light - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((v) => Math.round(255 * Math.min(1, Math.max(0, v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055))));
}

const LABS = [];
const lab = (k) => (LABS[k] ??= toLab(glass(k)));
const apart = (j, k) => Math.hypot(...lab(j).map((v, i) => v - lab(k)[i]));

// A colour for each item, so that items that touch differ, best where they differ most. An item keeps the colour that
// `before` gives it (a map from item to colour) unless a neighbour has that one.
function colourItems(tops, width, height, before) {
  const sizes = new Map();
  const touching = new Map();
  const touch = (a, b) => {
    if (a === b) return;
    touching.get(a).add(b);
    touching.get(b).add(a);
  };
  for (const item of tops) {
    sizes.set(item, (sizes.get(item) ?? 0) + 1);
    if (!touching.has(item)) touching.set(item, new Set());
  }
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      if (x + 1 < width) touch(tops[p], tops[p + 1]);
      if (y + 1 < height) touch(tops[p], tops[p + width]);
      if (x + 1 < width && y + 1 < height) touch(tops[p], tops[p + width + 1]);
      if (x > 0 && y + 1 < height) touch(tops[p], tops[p + width - 1]);
    }
  }
  const colours = new Map();
  const uses = [];
  const order = [...sizes.keys()].sort((a, b) => sizes.get(b) - sizes.get(a) || a - b);
  for (const item of order) {
    const taken = new Set([...touching.get(item)].map((other) => colours.get(other)).filter((k) => k !== undefined));
    let chosen = before.get(item);
    if (taken.has(chosen)) chosen = undefined;
    if (chosen === undefined) {
      let best = -Infinity;
      for (let k = 0; k < GLASS.length || chosen === undefined; k++) {
        if (taken.has(k)) continue;
        let distance = 0.5;
        for (const other of taken) distance = Math.min(distance, apart(k, other));
        // Where many colours are far enough from all neighbours, the one used least makes the liveliest mosaic.
        const score = Math.min(distance, 0.2) - 0.004 * (uses[k] ?? 0);
        if (score > best) [best, chosen] = [score, k];
      }
    }
    colours.set(item, chosen);
    uses[chosen] = (uses[chosen] ?? 0) + 1;
  }
  return { colours, order, sizes };
}
