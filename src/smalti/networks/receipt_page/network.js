// What the page of a network's picture shows beside the machine's receipt: the two pictures, r, and the network's views.

const GREY_LEVELS = 127.5;
const rText = (r) => (r === null ? "not defined" : r.toFixed(3));

SAYS.finished = "the last";
SAYS.matched = "the network's picture";
SAYS.weight = "Weight of the machine (not of the network)";
SAYS.drawn = ({ run }) => [
  `Drawn by the network ${run.network.name} of `,
  make("bdi", {}, run.network.place),
  make("br"),
  `Taken apart by the ${run.machine} machine on `,
];
SAYS.picture = (receipt, step) =>
  `The machine's estimate at step ${step.step} of the network's way from seed ${receipt.seed}, ${receipt.width} pixels ` +
  `wide and ${receipt.height} high. This estimate, not the network's, owes most to `;
SAYS.pixel = (receipt, step, pixel) => {
  const values = step.network.estimate.slice(pixel * receipt.channels, (pixel + 1) * receipt.channels);
  return ` The network says ${values.join(", ")}, ${twoPlaces(step.network.difference[pixel])} grey levels apart.`;
};

SAYS.facts = ({ run }) => [
  ["Digest of the network", run.network.digest],
  ["Steps of the network", `${run.network.steps}, ${run.network.schedule} schedule`],
];

// A map of differences in grey levels, with a scale that fits it.
function apartMap(receipt, values) {
  const range = rangeOf(values);
  const high = Math.max(range.high, 1);
  return { data: paintRamp(receipt, "apart", (p) => values[p] / high), high, range };
}

VIEWS.picture.label = "Machine";
VIEWS.network = {
  label: "Network",
  draw(receipt, index) {
    const step = receipt.steps[index];
    const finished = index === receipt.steps.length - 1;
    return {
      data: paintPixels(receipt, step.network.estimate),
      caption:
        `${finished ? "The network's picture" : `The network's estimate at step ${step.step}`} of seed ${receipt.seed}. ` +
        "The weights beside it are those of the machine's estimate at the same state.",
    };
  },
};
VIEWS.apart = {
  label: "Apart",
  draw(receipt, index) {
    const step = receipt.steps[index];
    const { data, high, range } = apartMap(receipt, step.network.difference);
    return {
      data,
      ramp: "apart",
      low: "0",
      high: `${twoPlaces(high)} grey levels`,
      caption:
        `How far the machine's estimate is from the network's at step ${step.step}, in grey levels: ` +
        `${spread(range, twoPlaces)}. Here r is ${rText(receipt.network.along.r[step.step])}.`,
    };
  },
};

const SVG = "http://www.w3.org/2000/svg";
function draws(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// r of the two estimates at each step, and as a broken line r of the two finished pictures.
function drawAlong(receipt, now) {
  const { r } = receipt.network.along;
  const alone = receipt.network.trust.r;
  const [left, right, top, bottom] = [34, 468, 12, 140];
  const known = [...r, alone].filter((value) => value !== null);
  const low = Math.min(0, ...known.map((value) => Math.floor(10 * value) / 10));
  const across = (step) => left + ((right - left) * step) / Math.max(1, r.length - 1);
  const down = (value) => bottom - ((bottom - top) * (value - low)) / (1 - low);
  const parts = [];
  for (const value of new Set([low, 0, 0.5, 1])) {
    parts.push(draws("line", { class: "axis", x1: left, x2: right, y1: down(value), y2: down(value) }));
    parts.push(draws("text", { x: left - 6, y: down(value) + 4, "text-anchor": "end" }, value));
  }
  parts.push(draws("text", { x: left, y: bottom + 20 }, "step 0, noise"));
  parts.push(draws("text", { x: right, y: bottom + 20, "text-anchor": "end" }, `step ${r.length - 1}`));
  if (alone !== null) parts.push(draws("line", { class: "alone", x1: left, x2: right, y1: down(alone), y2: down(alone) }));
  const points = r.flatMap((value, step) => (value === null ? [] : [`${across(step)},${down(value)}`]));
  parts.push(draws("polyline", { class: "curve", points: points.join(" ") }));
  for (const [step, value] of r.entries()) {
    if (value !== null) parts.push(draws("circle", { class: step === now ? "now" : "dot", cx: across(step), cy: down(value), r: step === now ? 5 : 2.5 }));
  }
  el("along").replaceChildren(...parts);
  el("along").setAttribute("aria-label", `r of the two estimates at steps 0 to ${r.length - 1}: ${r.map(rText).join(", ")}.`);
}

function showTrust(receipt) {
  const { network, picture } = receipt;
  const { trust } = network;
  drawInto(el("network-picture"), receipt, { data: paintPixels(receipt, picture.pixels) });
  drawInto(el("own-picture"), receipt, { data: paintPixels(receipt, network.own.pixels) });
  const { data, high } = apartMap(receipt, network.difference);
  drawInto(el("apart-picture"), receipt, { data });
  el("apart-high").textContent = `${twoPlaces(high)} grey levels`;
  const pen = el("apart-bar").getContext("2d");
  for (let i = 0; i < 128; i++) {
    pen.fillStyle = `rgb(${ramp("apart", i / 127).join(" ")})`;
    pen.fillRect(i, 0, 1, 1);
  }
  for (const [id, name] of [["network-picture", "The network's picture"], ["own-picture", "The machine's own picture"], ["apart-picture", "The map of their difference"]]) {
    el(id).setAttribute("role", "img");
    el(id).setAttribute("aria-label", name);
  }
  const facts = [
    ["r", rText(trust.r)],
    ["r²", rText(trust.r_squared)],
    ["RMS in grey levels", twoPlaces(GREY_LEVELS * Math.sqrt(trust.mse))],
  ];
  el("trust-facts").replaceChildren(...facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))));
  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
  el("trust-text").textContent = `${sentence(trust.text)} ${sentence(network.text)}`;
  el("along-text").textContent =
    `Line: ${network.along.text}. Broken line: r of the two finished pictures, where the machine went alone.`;
}

SHOWN.push((state, changed) => {
  if (changed === "receipt") showTrust(state.receipt);
  if (changed === "receipt" || changed === "step") drawAlong(state.receipt, state.step.step);
});
