// The label beside the picture: what the chosen pixel is made of, or, in the match view, what it is nearest to.

const TILE = 96;
const CLOSE_UP = 60;

// A picture of an item at the largest whole enlargement that fits, with the place marked and the patch around it
// outlined, clipped at the border; size 0: no patch. Where the enlargement is too small to see the patch, a close-up stands beside it.
function patchPicture(receipt, place, size) {
  const [height, width] = receipt.run.corpus_size;
  const item = receipt.items[place.item];
  const fit = TILE / Math.max(height, width);
  const zoom = fit >= 1 ? Math.floor(fit) : fit;
  const half = (size - 1) / 2;
  const image = spriteOf(item, place.row === undefined ? item.name : `${item.name}, at row ${place.row}, column ${place.column}`);
  const picture = make("span", { class: "item" }, image);
  setBox(image, 0, 0, width * zoom, height * zoom);
  setBox(picture, 0, 0, width * zoom, height * zoom);
  if (fit < 1) picture.classList.add("reduced");
  if (size) {
    const [left, right] = [Math.max(0, place.column - half), Math.min(width, place.column + half + 1)];
    const [top, bottom] = [Math.max(0, place.row - half), Math.min(height, place.row + half + 1)];
    // A frame of a few pixels would hide what it shows.
    const more = Math.max(0, (9 - Math.min(right - left, bottom - top) * zoom) / 2);
    const frame = make("span", { class: "frame" });
    setBox(frame, left * zoom - more, top * zoom - more, right * zoom + more, bottom * zoom + more);
    picture.append(frame);
  }
  if (place.row !== undefined && zoom >= 4) {
    const centre = make("span", { class: "centre" });
    setBox(centre, place.column * zoom, place.row * zoom, (place.column + 1) * zoom, (place.row + 1) * zoom);
    picture.append(centre);
  }
  const pictures = make("span", { class: "pictures" }, picture);
  if (size && zoom < 6) {
    const much = Math.max(1, Math.floor(CLOSE_UP / size));
    const copy = spriteOf(item, "");
    const left = (half - place.column) * much;
    const top = (half - place.row) * much;
    setBox(copy, left, top, left + width * much, top + height * much);
    const close = make("span", { class: "close-up" }, copy);
    setBox(close, 0, 0, size * much, size * much);
    pictures.append(close);
  }
  return pictures;
}

function setBox(node, left, top, right, bottom) {
  node.style.left = `${left}px`;
  node.style.top = `${top}px`;
  node.style.width = `${right - left}px`;
  node.style.height = `${bottom - top}px`;
}

function sourceTile(receipt, place, size, figure) {
  const item = receipt.items[place.item];
  const where = place.row !== undefined ? `row ${place.row}, column ${place.column}` : null;
  return make(
    "li",
    {},
    patchPicture(receipt, place, size),
    make("strong", { class: "figure" }, figure),
    nameOf(item),
    where && make("span", { class: "where" }, where),
    make("code", { title: item.id }, shortId(item)),
  );
}

function showPixel(state) {
  const { receipt, step, x, y, view } = state;
  const pixel = y * receipt.width + x;
  el("place").textContent = `Row ${y}, column ${x}`;
  const match = view === "match";
  const values = (match ? receipt.picture.pixels : step.estimate).slice(pixel * receipt.channels, (pixel + 1) * receipt.channels);
  const [red, green = red, blue = red, alpha = 255] = values;
  el("swatch").firstElementChild.style.background = `rgb(${red} ${green} ${blue} / ${alpha / 255})`;
  const more = match ? "" : SAYS.pixel(receipt, step, pixel);
  const of = match ? `${SAYS.matched[0].toUpperCase()}${SAYS.matched.slice(1)}` : stepText(step);
  el("place-text").textContent = `${of}. Pixel value ${values.join(", ")}.${more}`;
  el("weight-part").hidden = match;
  el("match-part").hidden = !match;
  if (match) showMatch(receipt, pixel);
  else showWeight(receipt, step, pixel);
}

function showWeight(receipt, step, pixel) {
  const entropy = step.pixels.entropy[pixel];
  const facts = [
    ["Largest item share", percent(topShare(receipt, step, pixel))],
    ["Effective sources", twoPlaces(Math.exp(entropy))],
    ["Entropy", `${entropy.toFixed(2)} nats`],
  ];
  el("facts").replaceChildren(...facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))));
  const sources = sourcesAt(receipt, step, pixel);
  el("sources").replaceChildren(
    ...sources.map((source) => sourceTile(receipt, source, step.patch_size, percent(source.share))),
  );
  // Where the list has room for more, it is whole, and what rounding left over is nothing.
  const cut = sources.length === step.pixels.sources.length / receipt.area;
  el("left-out").textContent = `This list leaves out ${percent(cut ? Math.max(0, step.pixels.left_out[pixel]) : 0)} of the weight.`;
  const rest = Number(step.pixels.rest_units[pixel]) / Number(receipt.perPixel);
  // An item that is listed has weight, be it less than a unit.
  const rows = itemsAt(receipt, step, pixel).map(({ item, share }) => bar(nameOf(receipt.items[item]), share || Number.MIN_VALUE));
  if (rest > 0) rows.push(bar(make("span", { class: "name" }, "all other items"), rest));
  el("bars").replaceChildren(...rows);
}

function showMatch(receipt, pixel) {
  const { match } = receipt;
  const item = match.items[pixel];
  el("match-text").textContent = `Match: ${match.text}. It is of ${SAYS.matched}, whatever the step.`;
  el("nearest-heading").textContent = match.patch_size ? "Nearest patch" : "Nearest item";
  const place = { item, row: match.rows[pixel], column: match.cols[pixel] };
  const nearest = item < 0 ? [] : [sourceTile(receipt, place, match.patch_size, `${twoPlaces(match.rms[pixel])} grey levels`)];
  if (item < 0) nearest.push(make("li", {}, "The corpus has no patch to compare this pixel with."));
  el("nearest").replaceChildren(...nearest);
  el("whole-heading").hidden = match.whole.length === 0;
  el("whole").replaceChildren(
    ...match.whole.map(([index, rms]) => sourceTile(receipt, { item: index }, 0, `${twoPlaces(rms)} grey levels`)),
  );
}

// What a screen reader is told of a chosen pixel.
function spokenPixel(state) {
  const { receipt, step, x, y, view } = state;
  const pixel = y * receipt.width + x;
  const place = `Row ${y}, column ${x}.`;
  const at = ({ item, row, column }) => `${named(receipt.items[item].name)} at row ${row}, column ${column}`;
  if (view === "match") {
    const { items, rows, cols, rms } = receipt.match;
    if (items[pixel] < 0) return `${place} No patch to match.`;
    const found = at({ item: items[pixel], row: rows[pixel], column: cols[pixel] });
    return `${place} Nearest by distance: ${found}, ${twoPlaces(rms[pixel])} grey levels.`;
  }
  const best = sourcesAt(receipt, step, pixel).slice(0, 3);
  return `${place} Most weight: ${best.map((source) => `${at(source)}, ${percent(source.share)}`).join("; ")}.`;
}
