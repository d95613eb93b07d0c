// The five views of a step: what each paints, and the words that go with it.

function paintPixels(receipt, values) {
  const { area, channels } = receipt;
  const data = new Uint8ClampedArray(4 * area);
  for (let p = 0; p < area; p++) {
    const at = p * channels;
    data[4 * p] = values[at];
    data[4 * p + 1] = values[channels > 1 ? at + 1 : at];
    data[4 * p + 2] = values[channels > 1 ? at + 2 : at];
    data[4 * p + 3] = channels === 4 ? values[at + 3] : 255;
  }
  return data;
}

function paintRamp(receipt, name, value) {
  const data = new Uint8ClampedArray(4 * receipt.area);
  for (let p = 0; p < receipt.area; p++) {
    const v = value(p);
    if (v !== null) data.set([...ramp(name, v), 255], 4 * p);
  }
  return data;
}

// The mosaic of a step; colours start from those of the finished picture, so that items keep them where they can.
function mosaicOf(receipt, index) {
  const last = receipt.steps.length - 1;
  if (!receipt.mosaics[index]) {
    const tops = Array.from({ length: receipt.area }, (_, p) => topItem(receipt, receipt.steps[index], p));
    const before = index === last ? new Map() : mosaicOf(receipt, last).colours;
    receipt.mosaics[index] = { tops, ...colourItems(tops, receipt.width, receipt.height, before) };
  }
  return receipt.mosaics[index];
}

function rangeOf(values) {
  const known = values.filter((v) => v !== null).sort((a, b) => a - b);
  const median = (known[(known.length - 1) >> 1] + known[known.length >> 1]) / 2;
  return { low: known[0], median, high: known[known.length - 1], some: known.length > 0 };
}

const pixelValues = (receipt, value) => Array.from({ length: receipt.area }, (_, p) => value(p));
const spread = (range, show) => `from ${show(range.low)} to ${show(range.high)}, median ${show(range.median)}`;

const VIEWS = {
  picture: {
    label: "Picture",
    draw(receipt, index) {
      const step = receipt.steps[index];
      const finished = index === receipt.steps.length - 1;
      const owed = step.credits.slice(0, 3).map(([item, units]) => {
        return `${named(receipt.items[item].name)} ${percent(shareOf(receipt, units))}`;
      });
      return {
        data: paintPixels(receipt, step.estimate),
        caption: `${SAYS.picture(receipt, step, finished)}${owed.join(", ")}.`,
      };
    },
  },
  mosaic: {
    label: "Mosaic",
    draw(receipt, index) {
      const { tops, colours, order } = mosaicOf(receipt, index);
      const data = new Uint8ClampedArray(4 * receipt.area);
      tops.forEach((item, p) => data.set([...glass(colours.get(item)), 255], 4 * p));
      return {
        data,
        caption:
          `Each pixel in the colour of the item it owes most to: ${count(order.length, "item")}. ` +
          "Neighbours differ in colour; far apart, one colour may stand for two items.",
      };
    },
  },
  copy: {
    label: "Copy map",
    draw(receipt, index) {
      const values = pixelValues(receipt, (p) => topShare(receipt, receipt.steps[index], p));
      return {
        data: paintRamp(receipt, "copy", (p) => values[p]),
        ramp: "copy",
        low: "0%",
        high: "100%",
        caption: `The largest item share at each pixel: ${spread(rangeOf(values), percent)}.`,
      };
    },
  },
  sources: {
    label: "Sources",
    draw(receipt, index) {
      const { entropy } = receipt.steps[index].pixels;
      const range = rangeOf(entropy.map(Math.exp));
      // Two sources at least, so that hardly more than one is not painted as if it were many.
      const high = Math.max(range.high, 2);
      return {
        data: paintRamp(receipt, "sources", (p) => entropy[p] / Math.log(high)),
        ramp: "sources",
        low: "1",
        high: `${twoPlaces(high)} sources`,
        caption:
          `The effective number of sources at each pixel, exp(entropy), on a logarithmic scale: ` +
          `${spread(range, twoPlaces)}.`,
      };
    },
  },
  match: {
    label: "Match",
    draw(receipt) {
      const { rms, patch_size: size } = receipt.match;
      const range = rangeOf(rms);
      const high = Math.max(range.some ? range.high : 0, 1);
      const what = size ? `patch of ${size} × ${size}` : "whole item";
      return {
        data: paintRamp(receipt, "match", (p) => (rms[p] === null ? null : rms[p] / high)),
        ramp: "match",
        low: "0",
        high: `${twoPlaces(high)} grey levels`,
        caption:
          `Match, not weight: the distance from ${SAYS.matched} to the nearest ${what} at each pixel, as root mean ` +
          `square in grey levels${range.some ? `: ${spread(range, twoPlaces)}` : "; there is none"}.`,
      };
    },
  },
};

// Draws a view at one canvas pixel for each pixel of the picture, shown as large as fits into `room`, if that is given.
function drawInto(canvas, receipt, drawn, room) {
  canvas.width = receipt.width;
  canvas.height = receipt.height;
  canvas.getContext("2d").putImageData(new ImageData(drawn.data, receipt.width, receipt.height), 0, 0);
  if (!room) return;
  const zoom = Math.min(room[0] / receipt.width, room[1] / receipt.height);
  canvas.style.width = `${receipt.width * zoom}px`;
  canvas.style.height = `${receipt.height * zoom}px`;
}
