// The squares of a plan: which windows they need, and where their answers go.
// They are those of the one graph: `upscale_squares` of mmsr_onnx/single/image.py says why.

const LARGEST = 512 * 512; // pixels that are run at once: what is between their layers fits any GPU

// Batches of a plan's squares: of one route and one size of window, 1, 2, 4 … windows each, since
// a GPU prepares anew for every shape. `sides` and `routes` tell of each cell of an image.
export function batches({ routes, sides, columns }, { height, width, cell, halo }) {
  const groups = new Map();
  for (const [place, side] of sides.entries()) {
    const [row, column] = [Math.floor(place / columns), place % columns];
    if (row % side || column % side) continue; // not a square's first cell
    const [high, wide] = [height, width].map((length) => Math.min(length, side * cell + 2 * halo));
    const key = `${side} ${routes[place]}`;
    if (!groups.has(key)) groups.set(key, { route: routes[place], high, wide, windows: [] });
    groups.get(key).windows.push({ // inside the image: its own edge is what an expert may see
      top: within(row * cell - halo, height - high),
      left: within(column * cell - halo, width - wide),
      inner: {
        top: row * cell,
        left: column * cell,
        bottom: Math.min(height, (row + side) * cell),
        right: Math.min(width, (column + side) * cell),
      },
    });
  }
  return [...groups.values()].flatMap(split);
}

function split({ windows, ...group }) {
  const found = [];
  for (let start = 0; start < windows.length; ) {
    const room = Math.max(1, Math.min(windows.length - start, LARGEST / (group.high * group.wide)));
    const count = 2 ** Math.floor(Math.log2(room));
    found.push({ ...group, count, windows: windows.slice(start, start + count) });
    start += count;
  }
  return found;
}

function within(start, last) {
  return Math.min(Math.max(0, start), last);
}

// The windows of a batch as one array (n,3,high,wide).
export function cut(image, { windows, high, wide }, { height, width }) {
  const result = new Float32Array(windows.length * 3 * high * wide);
  let place = 0;
  for (const { top, left } of windows) {
    for (let channel = 0; channel < 3; channel++) {
      for (let row = top; row < top + high; row++, place += wide) {
        const start = (channel * height + row) * width + left;
        result.set(image.subarray(start, start + wide), place);
      }
    }
  }
  return result;
}

// Put the answers (n,3,scale·high,scale·wide) of a batch where their squares lie.
export function stitch(upscaled, answers, { windows, high, wide }, { height, width, scale }) {
  for (const [number, { top, left, inner }] of windows.entries()) {
    for (let channel = 0; channel < 3; channel++) {
      const plane = (number * 3 + channel) * high * scale;
      for (let row = inner.top * scale; row < inner.bottom * scale; row++) {
        const start = (plane + row - top * scale) * wide * scale + (inner.left - left) * scale;
        const line = answers.subarray(start, start + (inner.right - inner.left) * scale);
        upscaled.set(line, (channel * height * scale + row) * width * scale + inner.left * scale);
      }
    }
  }
}
