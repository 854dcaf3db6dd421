// Runs a one-file graph on ONNX Runtime for the web: model, its input's name, shape and file, effort.
// Writes upscaled and routes, raw, beside the input.
import { readFile, writeFile } from "node:fs/promises";
import * as ort from "onnxruntime-web/wasm";

const [model, name, shape, file, effort] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(await readFile(model));
const bytes = await readFile(file);
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const feeds = { [name]: new ort.Tensor("float32", values, shape.split(",").map(Number)) };
if (effort) feeds.effort = new ort.Tensor("float32", [Number(effort)], []);
const { upscaled, routes } = await session.run(feeds);
await writeFile(`${file}.upscaled`, new Uint8Array(upscaled.data.buffer));
await writeFile(`${file}.routes`, new Uint8Array(routes.data.buffer));
