// The experts on the visitor's GPU, by a plan that WebAssembly makes: WebGPU's runtime knows no trees.
import { batches, cut, stitch } from "./squares.mjs";

// What ONNX Runtime asks of a device that it opens itself.
const LIMITS = [
  "maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupSizeZ",
];

const STEP = 1 / 255;

// Open all graphs; gives what upscales an image at an effort. Throws why the GPU can't be used.
// `forced` takes an adapter that only imitates a GPU as well: it is slower than WebAssembly.
export async function openWebGpu(wasm, facts, forced) {
  if (!facts.webgpu) throw new Error("the page was made without it");
  const device = await findDevice(forced);
  const watched = watch(device);
  return released(device, async () => {
    const plan = await wasm.InferenceSession.create(facts.webgpu.plan);
    const ort = await import("./ort.webgpu.min.mjs"); // with its wasm 27 MB, which nobody else loads
    ort.env.wasm.numThreads = 1;
    const sessions = new Map();
    for (const [name, dims] of graphsOf(facts)) {
      if (!sessions.has(name)) sessions.set(name, await openChecked(name, dims, { wasm, ort, device, watched }));
    }
    const run = async (name, data, dims) => {
      const answer = await watched(answerOf(sessions.get(name), new ort.Tensor("float32", data, dims)));
      if (!answer.data.every(Number.isFinite)) throw new Error("an answer was not finite");
      return answer;
    };
    return (image, effort) => released(device, () => upscale(image, effort, plan, run, facts));
  });
}

// Every graph that a route runs, and the shape of what it may be tried with: two of the smallest windows.
function graphsOf({ scale, cell, halo, webgpu }) {
  const side = cell + 2 * halo;
  return webgpu.routes.flatMap(({ experts, fuser }) => [
    ...experts.map((name) => [name, [2, 3, side, side]]),
    ...(fuser ? [[fuser, [2, experts.length, 3, side * scale, side * scale]]] : []),
  ]);
}

// A session that answers as WebAssembly does. In its own layout, NHWC, ONNX Runtime 1.30 gets some
// convolutions wrong and says nothing: of 6 channels to 12, for one. NCHW does them.
async function openChecked(name, dims, { wasm, ort, device, watched }) {
  const size = dims.reduce((a, b) => a * b);
  const probe = Float32Array.from({ length: size }, (_, place) => (0.6180339887 * (place + 1)) % 1);
  const model = await wasm.InferenceSession.create(name);
  const expected = await answerOf(model, new wasm.Tensor("float32", probe, dims));
  await model.release();
  for (const preferredLayout of ["NHWC", "NCHW"]) {
    const executionProviders = [{ name: "webgpu", device, preferredLayout }];
    const session = await watched(ort.InferenceSession.create(name, { executionProviders }));
    const answer = await watched(answerOf(session, new ort.Tensor("float32", probe, dims)));
    if (answer.data.every((value, place) => Math.abs(value - expected.data[place]) < STEP / 2)) return session;
    await session.release();
  }
  throw new Error("it answers otherwise than WebAssembly");
}

async function answerOf(session, tensor) {
  const name = ["upscaled", "fused"].find((name) => session.outputNames.includes(name));
  const answers = await session.run({ [session.inputNames[0]]: tensor }, [name]);
  return answers[name];
}

// Do something; when it fails, the device's memory is given back.
async function released(device, work) {
  try {
    return await work();
  } catch (error) {
    device.destroy();
    throw error;
  }
}

async function findDevice(forced) {
  if (!navigator.gpu) throw new Error(isSecureContext ? "this browser has none" : "it needs HTTPS");
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("the browser offers no GPU");
  const imitated = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter; // where older browsers tell
  if (imitated && !forced) throw new Error("the browser would only imitate a GPU");
  return adapter.requestDevice({
    requiredFeatures: ["subgroups"].filter((name) => adapter.features.has(name)),
    requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
  });
}

// What a promise gives, or the device's trouble: a run on a lost device may never end, and errors
// of a GPU are not thrown.
function watch(device) {
  const trouble = new Promise((_, reject) => {
    device.lost.then(({ message }) => reject(new Error(message || "the GPU was lost")));
    device.addEventListener("uncapturederror", ({ error }) => reject(new Error(error.message)));
  });
  trouble.catch(() => {}); // it may come while nothing runs
  return (promise) => Promise.race([trouble, promise]);
}

async function upscale(image, effort, plan, run, { scale, cell, halo, webgpu }) {
  const [, , height, width] = image.dims;
  const tables = await plan.run({ image, effort });
  const [routes, sides] = [tables.routes, tables.sides].map(({ data }) => Uint8Array.from(data, Number));
  const [, columns] = tables.routes.dims;
  const upscaled = new Float32Array(3 * height * scale * width * scale);
  for (const batch of batches({ routes, sides, columns }, { height, width, cell, halo })) {
    const windows = cut(image.data, batch, { height, width });
    const answers = await answer(windows, batch, webgpu.routes[batch.route], run);
    stitch(upscaled, answers, batch, { height, width, scale });
  }
  return { upscaled, routes, columns };
}

// What a route answers for the windows of a batch (n,3,high,wide): (n,3,scale·high,scale·wide).
async function answer(windows, { count, high, wide }, { experts, fuser }, run) {
  const answers = [];
  for (const name of experts) answers.push(await run(name, windows, [count, 3, high, wide]));
  if (!fuser) return answers[0].data;
  const [, , tall, broad] = answers[0].dims;
  const size = 3 * tall * broad;
  const candidates = new Float32Array(count * answers.length * size);
  for (const [place, { data }] of answers.entries()) {
    for (let window = 0; window < count; window++) {
      const one = data.subarray(window * size, (window + 1) * size);
      candidates.set(one, (window * answers.length + place) * size);
    }
  }
  return (await run(fuser, candidates, [count, answers.length, 3, tall, broad])).data;
}
