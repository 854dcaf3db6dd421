// Runs the graph away from the page, so that the page stays awake.
// In: {open: facts}, then {id, width, height, pixels (RGBA), effort}. Out: {ready}, {block}, {done}, {error}.
import * as ort from "./ort.wasm.min.mjs";
import { blocks, planes, pixels } from "./picture.mjs";

let facts;
let session;

async function open(given) {
  facts = given;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
  session = await ort.InferenceSession.create(facts.graph);
  postMessage({ ready: true, threads: ort.env.wasm.numThreads });
}

async function upscale({ id, width, height, pixels: source, effort }) {
  const began = performance.now();
  const todo = blocks(width, height, facts);
  const price = new ort.Tensor("float32", [effort], []);
  for (const [index, block] of todo.entries()) {
    const { outer } = block;
    const image = new ort.Tensor("float32", planes(source, width, outer), [1, 3, outer.height, outer.width]);
    const answer = await session.run({ image, effort: price });
    const rgba = pixels(answer.upscaled.data, block, facts.scale);
    const routes = Uint8Array.from(answer.routes.data, Number);
    postMessage(
      { id, block, rgba, routes, columns: answer.routes.dims[1], part: index + 1, parts: todo.length },
      [rgba.buffer],
    );
    answer.upscaled.dispose();
    answer.routes.dispose();
  }
  postMessage({ id, done: true, seconds: (performance.now() - began) / 1000 });
}

self.onmessage = async ({ data }) => {
  try {
    await (data.open ? open(data.open) : upscale(data));
  } catch (error) {
    postMessage({ id: data.id, error: String(error?.message ?? error) });
  }
};
