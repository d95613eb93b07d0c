// Tables of credit, and what a row marks on the picture.

function itemName(receipt, index) {
  const item = receipt.items[index];
  const details = receipt.columns.map((column) => [column, groupOf(item, column)]).filter(([, value]) => value !== null);
  return make(
    "span",
    { class: "item-cell" },
    spriteOf(item, "", { class: "thumb" }),
    make(
      "span",
      {},
      nameOf(item),
      make("span", { class: "details", title: details.map((pair) => pair.join(" ")).join("\n") || null }, make("code", { title: item.id }, shortId(item)), ...details.flatMap(([column, value]) => [
        make("span", {}, `${column} `, make("bdi", {}, value)),
      ])),
    ),
  );
}

const groupName = (column, value) => (value === null ? make("i", {}, `no ${column}`) : make("bdi", {}, value));

// Which pixels owe most to an item or to a group of items: 1 for those, 0 for others.
function pixelsOf(receipt, step, mark) {
  const owes = (index) => {
    if (mark.item !== undefined) return index === mark.item;
    return groupOf(receipt.items[index], mark.column) === mark.value;
  };
  return Uint8Array.from({ length: receipt.area }, (_, p) => (owes(topItem(receipt, step, p)) ? 1 : 0));
}

const sameMark = (a, b) => Boolean(a && b) && a.item === b.item && a.column === b.column && a.value === b.value;

// The credit of a step by "item" or by a column; choosing a row calls `marking` with what it stands for, or null to
// mark nothing, and the row's place.
class CreditTable {
  constructor(marking) {
    this.marking = marking;
    this.column = null;
  }

  show(state, column, mark) {
    const { receipt, step } = state;
    Object.assign(this, { receipt, step, mark });
    if (this.column !== column) {
      this.column = column;
      this.table = new SortedTable(el("credits"), el("credits-more"), this.#columns(), {
        by: "share",
        descending: true,
        short: 12,
        foot: (hidden) => this.#foot(hidden),
      });
    }
    const rows = column === "item" ? this.#items() : this.#groups();
    this.most = Math.max(...rows.map(({ share }) => share));
    this.table.show(rows);
    const by = column === "item" ? "item" : column;
    el("credits-caption").textContent = `Credit by ${by} at step ${step.step}`;
  }

  #columns() {
    const item = this.column === "item";
    const first = item ? "Item" : this.column[0].toUpperCase() + this.column.slice(1);
    return [
      { name: "name", title: first, value: (row) => row.name, cell: (row) => this.#marker(row) },
      { name: "pixels", title: "Pixels", numeric: true, value: (row) => row.pixels, cell: (row) => whole.format(row.pixels) },
      { name: "share", title: "Share", numeric: true, value: (row) => row.units, cell: (row) => shareCell(row.share, this.most) },
      { name: "units", title: "Units", numeric: true, value: (row) => row.units, cell: (row) => whole.format(row.units) },
    ];
  }

  #row(mark, name, units) {
    units = BigInt(units);
    return { mark, name, units, share: shareOf(this.receipt, units), marked: sameMark(mark, this.mark) };
  }

  #items() {
    const pixels = new Map();
    for (let p = 0; p < this.receipt.area; p++) {
      const item = topItem(this.receipt, this.step, p);
      pixels.set(item, (pixels.get(item) ?? 0) + 1);
    }
    return this.step.credits.map(([item, units]) => {
      return { ...this.#row({ item }, this.receipt.items[item].name, units), pixels: pixels.get(item) ?? 0 };
    });
  }

  #groups() {
    const pixels = new Map();
    for (let p = 0; p < this.receipt.area; p++) {
      const value = groupOf(this.receipt.items[topItem(this.receipt, this.step, p)], this.column);
      pixels.set(value, (pixels.get(value) ?? 0) + 1);
    }
    return this.step.groups[this.column].map(([value, units]) => {
      return { ...this.#row({ column: this.column, value }, value ?? "", units), pixels: pixels.get(value) ?? 0 };
    });
  }

  #marker(row) {
    const text = this.column === "item" ? itemName(this.receipt, row.mark.item) : groupName(this.column, row.mark.value);
    const button = make("button", { type: "button", class: "marker", "aria-pressed": String(row.marked) }, text);
    button.addEventListener("click", () => this.marking(row.marked ? null : row.mark, button.closest("tr").sectionRowIndex));
    return button;
  }

  // What is not among the rows above, and the sum of all.
  #foot(hidden) {
    const item = this.column === "item";
    const unlisted = item ? this.step.others : this.step.group_others[this.column];
    const others = hidden.length + (unlisted.items ?? unlisted.groups);
    const sum = (rows) => rows.reduce((units, row) => units + row.units, BigInt(unlisted.units));
    const lines = [["All", sum(this.table.rows)]];
    if (others) lines.unshift([count(others, item ? "other item" : "other group"), sum(hidden)]);
    el("credits").tFoot.replaceChildren(
      ...lines.map(([name, units]) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, name),
          make("td", { class: "number" }),
          make("td", { class: "number" }, percent(shareOf(this.receipt, units))),
          make("td", { class: "number" }, whole.format(units)),
        ),
      ),
    );
  }
}

function summaryTable() {
  let most = 0;
  let receipt = null;
  const table = new SortedTable(
    el("summary"),
    el("summary-more"),
    [
      { name: "name", title: "Item", value: (row) => row.name, cell: (row) => itemName(receipt, row.item) },
      { name: "share", title: "Mean share", numeric: true, value: (row) => row.share, cell: (row) => shareCell(row.share, most) },
    ],
    { by: "share", descending: true, short: 10 },
  );
  return (shown) => {
    receipt = shown;
    most = Math.max(...receipt.summary.credits.map(([, share]) => share));
    el("summary").hidden = receipt.summary.credits.length === 0;
    table.show(receipt.summary.credits.map(([item, share]) => ({ item, share, name: receipt.items[item].name })));
  };
}
