// Runs the model away from the page, so that the page stays awake.
// In: {open: facts, device}, then {id, width, height, pixels (RGBA), effort}.
// Out: {device, threads, notice} whenever one was opened, {block}, {done}, {error}.
import * as ort from "./ort.wasm.min.mjs";
import { blocks, planes, pixels } from "./picture.mjs";
import { openWebGpu } from "./webgpu.mjs";

let facts;
let run; // image and effort, both tensors → {upscaled, routes, columns}
let onGpu = false;

async function open(given, device) {
  facts = given;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
  if (device === "wasm") return openWasm();
  try {
    run = await openWebGpu(ort, facts, device === "webgpu");
  } catch (error) {
    return openWasm(error);
  }
  onGpu = true;
  postMessage({ device: "WebGPU" });
}

// `trouble` is why WebGPU, which was wanted, isn't used.
async function openWasm(trouble) {
  onGpu = false;
  const session = await ort.InferenceSession.create(facts.graph);
  run = async (image, effort) => {
    const { upscaled, routes } = await session.run({ image, effort });
    return { upscaled: upscaled.data, routes: Uint8Array.from(routes.data, Number), columns: routes.dims[1] };
  };
  const notice = trouble && `WebGPU isn't used: ${said(trouble).slice(0, 200)}`;
  postMessage({ device: "WebAssembly", threads: ort.env.wasm.numThreads, notice });
}

async function runAnywhere(image, effort) {
  try {
    return await run(image, effort);
  } catch (error) {
    if (!onGpu) throw error;
    await openWasm(error);
    return run(image, effort);
  }
}

async function upscale({ id, width, height, pixels: source, effort }) {
  const began = performance.now();
  const todo = blocks(width, height, facts);
  const price = new ort.Tensor("float32", [effort], []);
  for (const [index, block] of todo.entries()) {
    const { outer } = block;
    const image = new ort.Tensor("float32", planes(source, width, outer), [1, 3, outer.height, outer.width]);
    const { upscaled, routes, columns } = await runAnywhere(image, price);
    const rgba = pixels(upscaled, block, facts.scale);
    postMessage({ id, block, rgba, routes, columns, part: index + 1, parts: todo.length }, [rgba.buffer]);
  }
  postMessage({ id, done: true, seconds: (performance.now() - began) / 1000 });
}

function said(error) {
  return String(error?.message ?? error);
}

self.onmessage = async ({ data }) => {
  try {
    await (data.open ? open(data.open, data.device) : upscale(data));
  } catch (error) {
    postMessage({ id: data.id, error: said(error) });
  }
};
