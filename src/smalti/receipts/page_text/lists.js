// The credit of documents, the spans, and the curve of what the corpus does not have.

const sameMark = (a, b) => Boolean(a && b) && a.document === b.document && a.column === b.column && a.value === b.value && a.span === b.span;

// Which tokens owe most to a document or a group, or lie in a span: true for those.
function tokensMarked(receipt, mark) {
  if (mark.span !== undefined) {
    const [first, last] = tokensOf(receipt, receipt.match.spans[mark.span]);
    return receipt.tokens.map((_, k) => k >= first && k <= last);
  }
  return receipt.tokens.map((token) => {
    const document = topDocument(token);
    if (document < 0) return false;
    return mark.document !== undefined ? document === mark.document : groupOf(receipt.documents[document], mark.column) === mark.value;
  });
}

function marker(row, text, marking) {
  const button = make("button", { type: "button", class: "marker", "aria-pressed": String(row.marked) }, text);
  button.addEventListener("click", () => marking(row.marked ? null : row.mark, button.closest("table").id, button.closest("tr").sectionRowIndex));
  return button;
}

function showCredits(receipt, column, mark, marking) {
  const document = column === "document";
  const owing = new Map();
  for (const token of receipt.tokens) {
    const top = topDocument(token);
    if (top < 0) continue;
    const key = document ? top : groupOf(receipt.documents[top], column);
    owing.set(key, (owing.get(key) ?? 0) + 1);
  }
  const rows = (document ? receipt.credits : receipt.groups[column]).map(([key, units]) => {
    const own = document ? { document: key } : { column, value: key };
    const name = document ? receipt.documents[key].name : (key ?? "");
    return { key, mark: own, marked: sameMark(own, mark), name, units: BigInt(units), share: shareOf(receipt, units), tokens: owing.get(key) ?? 0 };
  });
  const most = Math.max(...rows.map(({ share }) => share));
  const nameCell = (row) => {
    if (document) return marker(row, documentCell(receipt, row.key), marking);
    return marker(row, row.key === null ? make("i", {}, `no ${column}`) : make("bdi", {}, row.key), marking);
  };
  const title = document ? "Document" : column[0].toUpperCase() + column.slice(1);
  const sort = [
    { name: "name", title, value: (row) => row.name, cell: nameCell },
    { name: "tokens", title: "Tokens", numeric: true, value: (row) => row.tokens, cell: (row) => whole.format(row.tokens) },
    { name: "share", title: "Share", numeric: true, value: (row) => row.units, cell: (row) => shareCell(row.share, most) },
    { name: "units", title: "Units", numeric: true, value: (row) => row.units, cell: (row) => whole.format(row.units) },
  ];
  const unlisted = document ? receipt.others : receipt.group_others[column];
  const before = showCredits.sorted?.column === column ? showCredits.sorted.table : null;
  const table = new SortedTable(el("credits"), el("credits-more"), sort, {
    by: before?.by ?? "share",
    descending: before?.descending ?? true,
    short: 12,
    foot: (hidden) => creditFoot(receipt, document, rows, hidden, unlisted),
  });
  table.all = before?.all ?? false;
  showCredits.sorted = { column, table };
  table.show(rows);
  el("credits-caption").textContent = `Credit by ${column}`;
}

// What is not among the rows above, what no document has, and the sum of all.
function creditFoot(receipt, document, rows, hidden, unlisted) {
  const others = hidden.length + Number(unlisted.documents ?? unlisted.groups);
  const hiddenUnits = hidden.reduce((units, row) => units + row.units, BigInt(unlisted.units));
  const none = { given: "No document: given", noise: "No document: noise", prior: "No document: prior" };
  const lines = Object.entries(none)
    .map(([name, text]) => [text, BigInt(receipt.no_document[name]), "no-document"])
    .filter(([, units]) => units > 0n);
  if (others) lines.unshift([count(others, document ? "other document" : "other group"), hiddenUnits, null]);
  const all = rows.reduce((units, row) => units + row.units, BigInt(unlisted.units)) + Object.values(receipt.no_document).reduce((sum, units) => sum + BigInt(units), 0n);
  lines.push(["All", all, null]);
  el("credits").tFoot.replaceChildren(
    ...lines.map(([name, units, kind]) =>
      make(
        "tr",
        { class: kind },
        make("th", { scope: "row" }, name),
        make("td", { class: "number" }),
        make("td", { class: "number" }, percent(shareOf(receipt, units))),
        make("td", { class: "number" }, whole.format(units)),
      ),
    ),
  );
}

function documentCell(receipt, place) {
  const document = receipt.documents[place];
  const details = receipt.columns.map((column) => [column, groupOf(document, column)]).filter(([, value]) => value !== null);
  return make(
    "span",
    { class: "item-cell" },
    make(
      "span",
      {},
      nameOf(document),
      make(
        "span",
        { class: "details" },
        make("code", { title: document.id }, shortId(document)),
        ...details.map(([column, value]) => make("span", {}, `${column} `, make("bdi", {}, value))),
      ),
    ),
  );
}

function showSpans(receipt, mark, marking) {
  const { spans, inside, inside_drawn: insideDrawn } = receipt.match;
  const lengths = Object.keys(inside);
  el("verbatim-text").textContent =
    "A match: the longest stretches of the text that stand in the corpus, character for character. It says nothing of weight.";
  const alike = lengths.every((length) => insideDrawn[length] === null || inside[length] === insideDrawn[length]);
  el("inside").replaceChildren(
    ...lengths.map((length) => {
      const own = fact(`In spans of ${length} and more`, percent(inside[length]));
      if (!alike) own.lastChild.append(make("small", { class: "where" }, `${percent(insideDrawn[length])} of what was drawn`));
      return own;
    }),
  );
  const table = new SortedTable(
    el("spans"),
    el("spans-more"),
    [
      { name: "begin", title: "Span", value: (row) => row.span.begin, cell: (row) => marker(row, make("span", { class: "excerpt", dir: "auto" }, row.text), marking) },
      { name: "length", title: "Length", numeric: true, value: (row) => row.span.end - row.span.begin, cell: (row) => whole.format(row.span.end - row.span.begin) },
      { name: "count", title: "Times", numeric: true, value: (row) => Number(row.span.count), cell: (row) => whole.format(row.span.count) },
      { name: "documents", title: "Documents", value: (row) => Number(row.span.documents), cell: (row) => documentsCell(receipt, row.span) },
    ],
    { by: showSpans.sorted?.by ?? "length", descending: showSpans.sorted?.descending ?? true, short: 10 },
  );
  table.all = showSpans.sorted?.all ?? false;
  showSpans.sorted = table;
  el("spans").hidden = spans.length === 0;
  table.show(
    spans.map((span, k) => {
      const text = receipt.characters.slice(span.begin, span.end).join("");
      return { span, text: visible(text).replaceAll("\n", "↵"), mark: { span: k }, marked: sameMark({ span: k }, mark) };
    }),
  );
}

function documentsCell(receipt, span) {
  const named = [...new Set(span.places.map(([document]) => document))].slice(0, 3);
  const more = Number(span.documents) - named.length;
  return make(
    "span",
    {},
    ...named.map((document) => nameOf(receipt.documents[document])),
    more > 0 ? make("span", { class: "where" }, `and ${whole.format(more)} more`) : null,
  );
}

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The share of stretches of L characters that the corpus does not have, over L.
function showUniqueness(receipt) {
  const shares = receipt.match.uniqueness.filter((share) => share !== null);
  const most = receipt.match.uniqueness.length;
  const [left, top, width, height] = [40, 8, 500, 150];
  const x = (length) => left + (width * (length - 1)) / (most - 1);
  const y = (share) => top + height * (1 - share);
  const ticks = [1, 8, 16, 32, 48, 64].filter((length) => length <= most);
  const half = shares.findIndex((share) => share >= 0.5);
  el("uniqueness-text").textContent = half < 0
    ? "At no length up to 64 characters is half of the stretches missing from the corpus."
    : `From ${count(half + 1, "character")} on, at least half of the stretches stand nowhere in the corpus.`;
  el("uniqueness").replaceChildren(
    draw(
      "svg",
      { class: "curve", viewBox: "0 0 560 184", role: "img", "aria-labelledby": "uniqueness-heading", "aria-describedby": "uniqueness-text" },
      ...[0, 0.5, 1].flatMap((share) => [
        draw("line", { class: "axis", x1: left, x2: left + width, y1: y(share), y2: y(share) }),
        draw("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share}%`),
      ]),
      ...ticks.map((length) => draw("text", { x: x(length), y: top + height + 18, "text-anchor": "middle" }, String(length))),
      draw("polyline", { class: "line", points: shares.map((share, k) => `${x(k + 1).toFixed(1)},${y(share).toFixed(1)}`).join(" ") }),
    ),
  );
}
