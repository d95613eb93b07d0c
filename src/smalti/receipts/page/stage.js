// The large picture: its size, the marks over it, and how a pixel is chosen on it.

class Stage {
  // `choose(x, y, how)` is called when a person chooses a pixel; `how` is "hover", "tap" or "keys".
  constructor(choose) {
    this.choose = choose;
    this.held = false;
    this.host = el("stage");
    this.canvas = el("canvas");
    this.marks = el("marks");
    this.ground = make("canvas");
    this.host.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "touch" && !this.held) this.#choosePoint(event, "hover");
    });
    this.host.addEventListener("click", (event) => {
      const { x, y } = this.state;
      this.#choosePoint(event, "tap");
      if (event.pointerType === "touch") return;
      this.#hold(!(this.held && x === this.state.x && y === this.state.y));
    });
    this.host.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.state && this.layOut()).observe(el("wall"));
    addEventListener("resize", () => this.state && this.layOut());
  }

  // `state` has receipt, index, step, x, y, view; `drawn` is what the view drew; `marked` says which pixels are marked, or null.
  show(state, drawn, marked) {
    Object.assign(this, { state, marked });
    drawInto(this.canvas, state.receipt, drawn);
    this.layOut();
  }

  // The largest whole number of device pixels for each pixel that the wall has room for.
  layOut() {
    const { width, height } = this.state.receipt;
    const density = window.devicePixelRatio || 1;
    const { paddingLeft, paddingRight } = getComputedStyle(el("wall"));
    const room = (el("wall").clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)) * density;
    // Tabs, slider and caption stay in sight with it.
    const tall = Math.max(240, Math.min(760, window.innerHeight - 330)) * density;
    this.zoom = Math.max(1, Math.floor(Math.min(room / width, tall / height)));
    for (const canvas of [this.canvas, this.marks]) {
      canvas.style.width = `${(width * this.zoom) / density}px`;
      canvas.style.height = `${(height * this.zoom) / density}px`;
    }
    this.host.style.width = this.canvas.style.width;
    this.host.style.height = this.canvas.style.height;
    this.marks.width = width * this.zoom;
    this.marks.height = height * this.zoom;
    this.#drawGround();
    this.drawMarks();
  }

  // Brings the picture into sight if less than half of it is.
  reveal() {
    const { top, bottom, height } = this.host.getBoundingClientRect();
    if (Math.min(bottom, window.innerHeight) - Math.max(top, 0) >= height / 2) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.host.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
  }

  // What lies under the cross hairs and changes less often: joints of the mosaic, and a veil over what is not marked.
  #drawGround() {
    const { receipt, index, view } = this.state;
    const { width, area } = receipt;
    const zoom = this.zoom;
    this.ground.width = this.marks.width;
    this.ground.height = this.marks.height;
    const pen = this.ground.getContext("2d");
    const hair = this.#hair();
    const colours = getComputedStyle(this.marks);
    if (view === "mosaic" && zoom >= 4) {
      const { tops } = mosaicOf(receipt, index);
      pen.fillStyle = "rgb(30 26 20 / 0.75)";
      this.#borders(pen, (p) => tops[p], hair);
    }
    if (!this.marked) return;
    pen.fillStyle = colours.outlineColor;
    for (let p = 0; p < area; p++) {
      if (!this.marked[p]) pen.fillRect((p % width) * zoom, Math.floor(p / width) * zoom, zoom, zoom);
    }
    pen.fillStyle = colours.color;
    this.#borders(pen, (p) => this.marked[p], Math.min(zoom, 2 * hair));
  }

  #hair() {
    return Math.max(1, Math.round(window.devicePixelRatio || 1));
  }

  drawMarks() {
    const { receipt, step, x, y, view } = this.state;
    const { width, height } = receipt;
    const zoom = this.zoom;
    const hair = this.#hair();
    const pen = this.marks.getContext("2d");
    pen.clearRect(0, 0, this.marks.width, this.marks.height);
    pen.drawImage(this.ground, 0, 0);
    const size = view === "match" ? receipt.match.patch_size : step.patch_size;
    const half = (size - 1) / 2;
    // The state of this machine wraps around; the others see zeros beyond the border.
    const wraps = receipt.run.machine === "equivariant-local" ? [-1, 0, 1] : [0];
    const frame = (left, top, across, down, grow) => {
      for (const [style, thick] of [["rgb(0 0 0 / 0.8)", 3 * hair], ["rgb(255 255 255)", hair]]) {
        pen.strokeStyle = style;
        pen.lineWidth = thick;
        pen.strokeRect(left * zoom - grow, top * zoom - grow, across * zoom + 2 * grow, down * zoom + 2 * grow);
      }
    };
    if (size > 1) {
      for (const dy of wraps) {
        for (const dx of wraps) {
          const left = Math.max(0, x - half + dx * width);
          const top = Math.max(0, y - half + dy * height);
          const right = Math.min(width, x + half + 1 + dx * width);
          const bottom = Math.min(height, y + half + 1 + dy * height);
          if (left < right && top < bottom) frame(left, top, right - left, bottom - top, -1.5 * hair);
        }
      }
    }
    for (const [style, shift] of [["rgb(0 0 0 / 0.4)", hair], ["rgb(255 255 255 / 0.5)", 0]]) {
      pen.fillStyle = style;
      const across = Math.floor((x + 0.5) * zoom) + shift;
      const down = Math.floor((y + 0.5) * zoom) + shift;
      pen.fillRect(0, down, x * zoom, hair);
      pen.fillRect((x + 1) * zoom, down, this.marks.width, hair);
      pen.fillRect(across, 0, hair, y * zoom);
      pen.fillRect(across, (y + 1) * zoom, hair, this.marks.height);
    }
    // Small pixels get their frame around them, so that it does not cover what it points at.
    frame(x, y, 1, 1, zoom >= 12 * hair ? -1.5 * hair : 1.5 * hair);
    if (this.held) {
      pen.fillStyle = getComputedStyle(this.marks).color;
      const dot = Math.max(2 * hair, Math.round(zoom / 6));
      pen.fillRect(Math.round((x + 0.5) * zoom - dot / 2), Math.round((y + 0.5) * zoom - dot / 2), dot, dot);
    }
  }

  // Lines between pixels for which `kind` differs.
  #borders(pen, kind, thick) {
    const { width, height, area } = this.state.receipt;
    const zoom = this.zoom;
    for (let p = 0; p < area; p++) {
      const x = p % width;
      const y = Math.floor(p / width);
      const start = thick >> 1;
      if (x + 1 < width && kind(p) !== kind(p + 1)) pen.fillRect((x + 1) * zoom - start, y * zoom, thick, zoom);
      if (y + 1 < height && kind(p) !== kind(p + width)) pen.fillRect(x * zoom, (y + 1) * zoom - start, zoom, thick);
    }
  }

  #hold(held) {
    this.held = held;
    this.host.classList.toggle("held", held);
    this.drawMarks();
  }

  #choosePoint(event, how) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.state.receipt;
    const x = Math.floor(((event.clientX - box.left) / box.width) * width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * height);
    if (x >= 0 && y >= 0 && x < width && y < height) this.choose(x, y, how);
  }

  #key(event) {
    if (event.altKey || event.metaKey) return;
    const { x, y, receipt } = this.state;
    const stride = event.shiftKey ? 10 : 1;
    const right = receipt.width - 1;
    const bottom = receipt.height - 1;
    const to = {
      ArrowLeft: [x - stride, y],
      ArrowRight: [x + stride, y],
      ArrowUp: [x, y - stride],
      ArrowDown: [x, y + stride],
      Home: [0, event.ctrlKey ? 0 : y],
      End: [right, event.ctrlKey ? bottom : y],
      PageUp: [x, y - 10],
      PageDown: [x, y + 10],
    }[event.key];
    if (to) this.choose(Math.min(right, Math.max(0, to[0])), Math.min(bottom, Math.max(0, to[1])), "keys");
    else if (event.key === "Enter" || event.key === " ") this.#hold(!this.held);
    else if (event.key === "Escape") this.#hold(false);
    else return;
    event.preventDefault();
  }
}
