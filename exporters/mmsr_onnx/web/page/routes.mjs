// Which class answered for which cell: colours from cool (cheap) to warm (dear).

const COLOURS = [[33, 69, 140], [41, 145, 186], [153, 204, 140], [250, 191, 71], [214, 64, 38]];

// The colour of class `index` of `count`, as [r, g, b].
function colour(index, count) {
  const place = count > 1 ? (index / (count - 1)) * (COLOURS.length - 1) : COLOURS.length - 1;
  const low = COLOURS[Math.floor(place)];
  const high = COLOURS[Math.ceil(place)];
  return low.map((value, channel) => Math.round(value + (high[channel] - value) * (place % 1)));
}

// Paint the cells of a block's inner box, one pixel each.
export function paintRoutes(canvas, { block, routes, columns }, { cell, classes }) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const { inner, outer } = block;
  const [left, top] = [inner.left / cell, inner.top / cell];
  const [right, bottom] = [(inner.left + inner.width) / cell, (inner.top + inner.height) / cell];
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const route = routes[(row - outer.top / cell) * columns + column - outer.left / cell];
      context.fillStyle = `rgb(${colour(route, classes.length)})`;
      context.fillRect(column, row, 1, 1);
    }
  }
}

// Name the classes that answered, each with its share of the cells.
export function showLegend(list, canvas, { classes }) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const counts = new Map();
  for (let place = 0; place < data.length; place += 4) {
    const key = `${data[place]},${data[place + 1]},${data[place + 2]}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const items = [];
  for (const [index, name] of classes.entries()) {
    const key = String(colour(index, classes.length));
    const share = (counts.get(key) ?? 0) / (data.length / 4);
    if (!share) continue;
    const item = document.createElement("li");
    const swatch = document.createElement("i");
    swatch.style.background = `rgb(${key})`;
    item.append(swatch, `${name} ${Math.round(100 * share)} %`);
    items.push(item);
  }
  list.replaceChildren(...items);
}
