// The page: takes a picture, has the worker upscale it, shows it beside the original, saves it.
import { paintRoutes, showLegend } from "./routes.mjs";

const LARGEST = 4e6; // pixels in: their ×4 is what canvases of phones still hold
const at = (id) => document.getElementById(id);

const facts = await (await fetch("model.json")).json();
let worker;
let ready; // a promise: the worker has opened the model
let device = new URLSearchParams(location.search).get("device"); // wasm, webgpu, or what is best
let workers; // what does the work, in words
let picture; // { name, image: ImageData, opaque }
let job = 0; // number of the last one asked for; answers to others are out of date
let clock;
let saved; // URL of what the download link gives

at("scale").textContent = `×${facts.scale}`;
at("model").textContent = facts.name;
showDevice({ device: "…" });
at("effort").value = facts.effort;
showEffort();

function startWorker() {
  worker?.terminate();
  worker = new Worker("worker.mjs", { type: "module" });
  ready = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.device) resolve(showDevice(data));
      else if (data.error && data.id === undefined) reject(new Error(data.error));
      else if (data.id === job) hear(data);
    };
    worker.onerror = (event) => reject(new Error(event.message || "the worker could not start"));
  });
  worker.postMessage({ open: facts, device });
  return ready;
}

function showDevice({ device: used, threads, notice }) {
  at("about").textContent = `${facts.name} ${facts.version} · ONNX Runtime ${facts.runtime} · ${used}`;
  workers = threads > 1 ? `${threads} threads` : threads ? "1 thread" : used;
  if (!notice) return;
  at("notice").textContent = notice;
  at("notice").hidden = false;
  device = "wasm"; // what failed once isn't tried again
}

function hear(data) {
  if (data.error) return fail(`That did not work: ${data.error}`);
  if (data.done) return finish(data.seconds);
  const { inner } = data.block;
  const image = new ImageData(data.rgba, inner.width * facts.scale, inner.height * facts.scale);
  restoreAlpha(image, inner);
  at("after").getContext("2d").putImageData(image, inner.left * facts.scale, inner.top * facts.scale);
  paintRoutes(at("routes"), data, facts);
  if (data.parts > 1) at("progress").value = data.part / data.parts;
}

async function take(file) {
  stop();
  let image;
  try {
    const bitmap = await createImageBitmap(file);
    if (bitmap.width * bitmap.height > LARGEST) {
      const millions = ((bitmap.width * bitmap.height) / 1e6).toFixed(1);
      bitmap.close();
      return fail(`This picture has ${millions} megapixels; the page takes ${LARGEST / 1e6}.`);
    }
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    image = context.getImageData(0, 0, bitmap.width, bitmap.height);
    bitmap.close();
  } catch {
    return fail("This file is no picture that the browser can read.");
  }
  const opaque = !image.data.some((value, place) => place % 4 === 3 && value < 255);
  picture = { name: (file.name || "picture").replace(/\.[^.]*$/, ""), image, opaque };
  show();
  await upscale();
}

function show() {
  const { width, height } = picture.image;
  Object.assign(at("before"), { width, height });
  at("before").getContext("2d").putImageData(picture.image, 0, 0);
  at("stage").style.setProperty("--ratio", width / height);
  at("drop").hidden = true;
  at("viewer").hidden = at("controls").hidden = false;
}

async function upscale() {
  const mine = ++job;
  const { width, height, data } = picture.image;
  const canvas = Object.assign(document.createElement("canvas"), { id: "after" });
  Object.assign(canvas, { width: width * facts.scale, height: height * facts.scale });
  at("after").replaceWith(canvas); // a canvas with an alpha channel keeps it
  const context = canvas.getContext("2d", { alpha: !picture.opaque });
  if (!context) return fail("The browser has no room for a picture of that size.");
  context.drawImage(at("before"), 0, 0, width * facts.scale, height * facts.scale); // until the parts come
  const [columns, rows] = [width, height].map((length) => Math.ceil(length / facts.cell));
  Object.assign(at("routes"), { width: columns, height: rows });
  Object.assign(at("routes").style, { // the last cells reach beyond the picture
    width: `${(100 * columns * facts.cell) / width}%`,
    height: `${(100 * rows * facts.cell) / height}%`,
  });
  at("legend").replaceChildren();
  offer(null);
  wait("Loading the model");
  try {
    await ready;
  } catch (error) {
    return fail(`The model could not be opened: ${error.message}`);
  }
  if (mine !== job) return;
  wait("Upscaling");
  worker.postMessage({ id: job, width, height, pixels: data, effort: Number(at("effort").value) });
}

function finish(seconds) {
  stop(false);
  const { width, height } = at("after");
  tell(`${width} × ${height} pixels in ${seconds.toFixed(1)} s, ${workers}`);
  showLegend(at("legend"), at("routes"), facts);
  at("after").toBlob((blob) => {
    if (blob) offer(URL.createObjectURL(blob));
    else fail("The browser has no room to write a picture of that size.");
  });
}

function restart() {
  const running = !at("cancel").hidden;
  job++;
  if (running) startWorker(); // a run can't be called off; the worker can
  if (picture) upscale();
}

// End what is under way: its clock, and with `call` its worker too.
function stop(call = true) {
  clearInterval(clock);
  if (call && !at("cancel").hidden) {
    job++;
    startWorker().catch(() => {});
  }
  at("progress").hidden = at("cancel").hidden = true;
}

function wait(what) {
  clearInterval(clock);
  const began = performance.now();
  const tick = () => tell(`${what} … ${Math.floor((performance.now() - began) / 1000)} s`);
  at("progress").removeAttribute("value");
  at("progress").hidden = at("cancel").hidden = false;
  tick();
  clock = setInterval(tick, 1000);
}

function tell(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

function fail(text) {
  stop(false);
  tell(text, true);
}

function offer(url) {
  if (saved) URL.revokeObjectURL(saved);
  saved = url;
  const link = at("save");
  link.setAttribute("aria-disabled", String(!url));
  if (url) Object.assign(link, { href: url, download: `${picture.name}-x${facts.scale}.png` });
  else link.removeAttribute("href");
}

function showEffort() {
  at("effort-value").textContent = Number(at("effort").value).toFixed(2);
}

// Transparency is no business of the graph's: it is enlarged smoothly and put back.
function restoreAlpha(image, inner) {
  if (picture.opaque) return;
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(
    at("before"), inner.left, inner.top, inner.width, inner.height, 0, 0, image.width, image.height,
  );
  const enlarged = context.getImageData(0, 0, image.width, image.height).data;
  for (let place = 3; place < enlarged.length; place += 4) image.data[place] = enlarged[place];
}

at("file").addEventListener("change", ({ target }) => {
  if (target.files[0]) take(target.files[0]);
  target.value = "";
});
at("drop").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  at("file").click();
});
at("another").addEventListener("click", () => at("file").click());
at("cancel").addEventListener("click", () => {
  stop();
  tell("Cancelled. Move the effort slider to begin again, or choose another picture.");
});
at("effort").addEventListener("input", showEffort);
at("effort").addEventListener("change", restart);
at("split").addEventListener("input", ({ target }) => at("stage").style.setProperty("--split", `${target.value}%`));
at("show-routes").addEventListener("change", ({ target }) => {
  at("routes").hidden = at("legend").hidden = !target.checked;
});
addEventListener("paste", ({ clipboardData }) => {
  const file = [...clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file) take(file);
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});

// Threads need two headers that few servers set: the worker in isolate.js adds them from the second load on.
async function isolate() {
  if (crossOriginIsolated || !isSecureContext || !navigator.serviceWorker) return false;
  if (sessionStorage.getItem("isolated")) return false; // tried already, and the browser won't
  sessionStorage.setItem("isolated", "tried");
  try {
    await navigator.serviceWorker.register("isolate.js");
    const late = new Promise((resolve) => setTimeout(resolve, 3000)); // some browsers never are
    return Boolean(await Promise.race([navigator.serviceWorker.ready, late]));
  } catch {
    return false;
  }
}

if (await isolate()) {
  location.reload();
} else {
  startWorker().then(
    () => { if (!picture) tell(`Ready: ${workers}`); },
    (error) => fail(`The model could not be opened: ${error.message}`),
  );
}
