// Tables that a person sorts.

const collator = new Intl.Collator("en", { numeric: true });

class SortedTable {
  // columns: { name, title, numeric, value(row), cell(row) }; sorted by `by`, descending or not. `foot` is called with
  // the rows that are left out until a person asks for all.
  constructor(table, more, columns, { by, descending, short, foot = () => {} }) {
    Object.assign(this, { table, more, columns, by, descending, short, foot, all: false });
    const buttons = columns.map((column) => {
      const button = make("button", { type: "button" }, column.title);
      button.addEventListener("click", () => this.#sortBy(column));
      return make("th", { scope: "col", class: column.numeric ? "number" : null }, button);
    });
    table.tHead.replaceChildren(make("tr", {}, ...buttons));
    more.onclick = () => {
      this.all = !this.all;
      this.draw();
    };
  }

  show(rows) {
    this.rows = rows;
    this.draw();
  }

  #sortBy(column) {
    this.descending = this.by === column.name ? !this.descending : Boolean(column.numeric);
    this.by = column.name;
    this.draw();
  }

  draw() {
    const column = this.columns.find(({ name }) => name === this.by);
    const compare = (a, b) => {
      const [v, w] = [column.value(a), column.value(b)];
      return typeof v === "string" ? collator.compare(v, w) : v < w ? -1 : v > w ? 1 : 0;
    };
    const order = [...this.rows].sort((a, b) => (this.descending ? compare(b, a) : compare(a, b)));
    const shown = this.all ? order : order.slice(0, this.short);
    this.columns.forEach(({ name }, k) => {
      const sort = name === this.by ? (this.descending ? "descending" : "ascending") : "none";
      this.table.tHead.rows[0].cells[k].setAttribute("aria-sort", sort);
    });
    this.table.tBodies[0].replaceChildren(
      ...shown.map((row) =>
        make(
          "tr",
          { class: row.marked ? "marked-row" : null },
          ...this.columns.map((c, k) =>
            make(k ? "td" : "th", { scope: k ? null : "row", class: c.numeric ? "number" : null }, c.cell(row)),
          ),
        ),
      ),
    );
    this.foot(order.slice(shown.length));
    this.more.hidden = this.rows.length <= this.short;
    this.more.textContent = this.all ? `Show the first ${this.short}` : `Show all ${whole.format(this.rows.length)}`;
  }
}

function shareCell(share, most) {
  const fill = make("span");
  fill.style.width = `${most > 0 ? (100 * share) / most : 0}%`;
  return make("span", { class: "share" }, make("span", { class: "bar", "aria-hidden": "true" }, fill), percent(share));
}
