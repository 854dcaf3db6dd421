// Pictures as numbers: the parts they are upscaled in, and the way into a graph and back.

export const BLOCK = 512; // pixels a side that are planned and held together

// Parts of a picture, left to right, top to bottom: `inner` is answered for, `outer` is what the
// graph sees, with real context around it. A picture of up to BLOCK × BLOCK is one part.
export function blocks(width, height, { cell, halo }) {
  const margin = Math.ceil(halo / cell) * cell; // whole cells, so that all parts share one grid
  const found = [];
  for (const [top, high] of spans(height, cell)) {
    for (const [left, wide] of spans(width, cell)) {
      found.push({
        inner: { left, top, width: wide, height: high },
        outer: grown({ left, top, width: wide, height: high }, margin, width, height),
      });
    }
  }
  return found;
}

function spans(length, cell) {
  const count = Math.ceil(length / BLOCK);
  const step = Math.ceil(length / count / cell) * cell;
  const found = [];
  for (let start = 0; start < length; start += step) found.push([start, Math.min(step, length - start)]);
  return found;
}

function grown(box, margin, width, height) {
  const left = Math.max(0, box.left - margin);
  const top = Math.max(0, box.top - margin);
  const right = Math.min(width, box.left + box.width + margin);
  const bottom = Math.min(height, box.top + box.height + margin);
  return { left, top, width: right - left, height: bottom - top };
}

// A box of RGBA bytes as planes R, G, B in [0,1].
export function planes(rgba, width, box) {
  const size = box.width * box.height;
  const result = new Float32Array(3 * size);
  let place = 0;
  for (let y = box.top; y < box.top + box.height; y++) {
    let from = 4 * (y * width + box.left);
    for (let x = 0; x < box.width; x++, place++, from += 4) {
      result[place] = rgba[from] / 255;
      result[size + place] = rgba[from + 1] / 255;
      result[2 * size + place] = rgba[from + 2] / 255;
    }
  }
  return result;
}

// What a graph answered on a block's outer box, as opaque RGBA bytes of its inner box.
export function pixels(upscaled, { inner, outer }, scale) {
  const size = outer.width * outer.height * scale * scale;
  const result = new Uint8ClampedArray(4 * inner.width * inner.height * scale * scale);
  const left = (inner.left - outer.left) * scale;
  let place = 0;
  for (let y = 0; y < inner.height * scale; y++) {
    let from = ((inner.top - outer.top) * scale + y) * outer.width * scale + left;
    for (let x = 0; x < inner.width * scale; x++, place += 4, from++) {
      result[place] = upscaled[from] * 255; // clamped and rounded by the array
      result[place + 1] = upscaled[size + from] * 255;
      result[place + 2] = upscaled[2 * size + from] * 255;
      result[place + 3] = 255;
    }
  }
  return result;
}
