// The picture before and after, with a divider between them, its route map above, and a zoom.

const $ = (id) => document.getElementById(id);
const MARGIN = 0.02;

export class View {
  constructor() {
    this.view = $("view");
    this.divider = $("divider");
    this.before = $("before");
    this.images = { before: $("before").firstElementChild, after: $("after").firstElementChild };
    this.canvas = $("routes").firstElementChild;
    this.at = 0.5;
    this.place = { k: 1, x: 0, y: 0 };
    this.fingers = new Map();
    this.listen();
    new ResizeObserver(() => this.layOut()).observe(this.view.parentElement);
  }

  // A new picture, of a size that is known later where the browser can't show it.
  show(url) {
    this.images.before.src = url;
    this.images.after.removeAttribute("src");
    this.canvas.width = 0;
    this.setDivided(false);
    this.setZoom(false);
  }

  setSize(width, height) {
    this.size = [width, height];
    this.layOut();
  }

  setAfter(url, width) {
    this.images.after.src = url;
    this.full = width;
    return this.images.after.decode().then(() => {
      this.setDivided(true);
      this.divide(0.5);
    });
  }

  setDivided(on) {
    this.divider.hidden = !on;
    for (const tag of this.view.querySelectorAll(".tag")) tag.hidden = !on;
    if (!on) this.before.style.clipPath = "";
  }

  // Routes row by row, digits of classes whose colours are given; a cell is `cell` pixels wide.
  paint(rows, digits, colours, cell) {
    const [columns, count] = [rows[0].length, rows.length];
    this.canvas.width = columns;
    this.canvas.height = count;
    const context = this.canvas.getContext("2d");
    for (const [y, row] of rows.entries()) {
      for (let x = 0; x < columns; x++) {
        context.fillStyle = colours[digits.indexOf(row[x])];
        context.fillRect(x, y, 1, 1);
      }
    }
    // The last cells may reach beyond the picture.
    this.canvas.style.width = `${(100 * columns * cell) / this.size[0]}%`;
    this.canvas.style.height = `${(100 * count * cell) / this.size[1]}%`;
  }

  divide(share) {
    this.at = Math.min(1 - MARGIN, Math.max(MARGIN, share));
    const percent = Math.round(100 * this.at);
    this.divider.style.left = `${100 * this.at}%`;
    this.divider.setAttribute("aria-valuenow", percent);
    this.divider.setAttribute("aria-valuetext", `${percent}% before, ${100 - percent}% after`);
    if (!this.divider.hidden) this.before.style.clipPath = `inset(0 ${100 - 100 * this.at}% 0 0)`;
  }

  // So large that a pixel of the answer is one of the screen, or the whole picture.
  setZoom(on) {
    const width = this.view.clientWidth || 1;
    const full = (this.full || 4 * (this.size?.[0] ?? 1)) / devicePixelRatio;
    const k = on ? Math.max(1.5, full / width) : 1;
    const [x, y] = [width / 2, this.view.clientHeight / 2];
    this.place = { k: 1, x: 0, y: 0 };
    this.magnify(k, x, y);
  }

  get zoomed() {
    return this.place.k > 1.001;
  }

  magnify(factor, x, y) {
    const k = Math.min(64, Math.max(1, this.place.k * factor));
    const ratio = k / this.place.k;
    this.place = { k, x: x - (x - this.place.x) * ratio, y: y - (y - this.place.y) * ratio };
    this.move(0, 0);
  }

  move(dx, dy) {
    const { clientWidth: width, clientHeight: height } = this.view;
    const { k } = this.place;
    this.place.x = Math.min(0, Math.max(width * (1 - k), this.place.x + dx));
    this.place.y = Math.min(0, Math.max(height * (1 - k), this.place.y + dy));
    const transform = `translate(${this.place.x}px, ${this.place.y}px) scale(${k})`;
    for (const part of [...Object.values(this.images), this.canvas]) part.style.transform = transform;
    this.images.after.style.imageRendering = k > 8 ? "pixelated" : "auto";
    this.view.classList.toggle("zoomed", this.zoomed);
    this.view.dispatchEvent(new CustomEvent("zoom"));
  }

  // As wide as there is room, as high as the window lets it be.
  layOut() {
    if (!this.size) return;
    const [width, height] = this.size;
    const room = this.view.parentElement.clientWidth;
    const most = Math.max(240, window.innerHeight * (window.innerWidth > 900 ? 0.78 : 0.6));
    const shown = Math.min(room, (most * width) / height);
    this.view.style.width = `${shown}px`;
    this.view.style.height = `${(shown * height) / width}px`;
    this.move(0, 0);
  }

  listen() {
    const { view, divider, fingers } = this;
    const position = (event) => {
      const box = view.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    divider.addEventListener("pointerdown", (event) => {
      divider.setPointerCapture(event.pointerId);
      event.stopPropagation();
    });
    divider.addEventListener("pointermove", (event) => {
      if (divider.hasPointerCapture(event.pointerId)) {
        this.divide(position(event)[0] / view.clientWidth);
      }
    });
    divider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1 }[event.key];
      const end = { Home: 0, End: 1 }[event.key];
      if (step === undefined && end === undefined) return;
      event.preventDefault();
      this.divide(end ?? this.at + step);
    });
    view.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, position(event));
      if (this.zoomed || fingers.size > 1) view.setPointerCapture(event.pointerId);
    });
    view.addEventListener("pointermove", (event) => {
      const from = fingers.get(event.pointerId);
      if (!from) return;
      const to = position(event);
      const other = [...fingers.entries()].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const spread = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
        this.magnify(spread(to) / Math.max(1, spread(from)), ...other);
      } else if (this.zoomed) {
        this.move(to[0] - from[0], to[1] - from[1]);
      }
      fingers.set(event.pointerId, to);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      view.addEventListener(end, (event) => fingers.delete(event.pointerId));
    }
    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !this.zoomed) return; // the page scrolls
      event.preventDefault();
      this.magnify(Math.exp(-event.deltaY / 300), ...position(event));
    }, { passive: false });
    view.addEventListener("dblclick", () => this.setZoom(!this.zoomed));
  }
}
