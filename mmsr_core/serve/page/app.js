// The page: a picture comes in, its plans are shown, one of them is carried out.

import { call, drop, follow, form, json, keep } from "./api.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
const SHOWN = 120e6; // pixels that a browser is asked to show

const view = new View();
const now = { file: null, plans: null, job: null, working: null, planning: null, urls: [] };
let server = null;

function tell(error) {
  if (error?.name === "AbortError") return;
  $("problem").textContent = error ? error.message : "";
  $("problem").hidden = !error;
}

const seconds = (value) =>
  value < 0.95 ? `${Math.max(0.1, value).toFixed(1)} s`
  : value < 9.5 ? `${value.toFixed(1)} s`
  : value < 100 ? `${Math.round(value)} s`
  : `${Math.round(value / 60)} min`;
const percent = (share) => `${Math.round(100 * share)}%`;

async function enter() {
  try {
    server = await json("/v1/models");
  } catch (error) {
    $("door").hidden = error.status !== 401;
    $("drop").hidden = error.status === 401;
    if (error.status !== 401) tell(error);
    return;
  }
  $("door").hidden = true;
  $("drop").hidden = now.file !== null;
  for (const { name, scale, default: first } of server.models) {
    $("model").add(new Option(`${name} (×${scale})`, name, first, first));
  }
  for (const name of server.formats) $("format").add(new Option(name.toUpperCase(), name));
  const { pixels, bytes } = server.limits;
  $("limits").textContent =
    `up to ${Math.round(pixels / 1e6)} megapixels, ${Math.round(bytes / 2 ** 20)} MiB`;
  tell(null);
}

function take(file) {
  if (!file || !server) return;
  tell(null);
  if (file.size > server.limits.bytes) {
    const most = Math.round(server.limits.bytes / 2 ** 20);
    return tell(new Error(`${file.name} is larger than ${most} MiB; choose a smaller file.`));
  }
  leave();
  for (const url of now.urls.splice(0)) URL.revokeObjectURL(url);
  Object.assign(now, { file, plans: null });
  const url = URL.createObjectURL(file);
  now.urls.push(url);
  $("unseen").hidden = true;
  view.show(url);
  $("drop").hidden = true;
  $("studio").hidden = false;
  setRoutes(true);
  forget();
  const shown = $("before").firstElementChild;
  shown.onload = () => view.setSize(shown.naturalWidth, shown.naturalHeight);
  shown.onerror = () => {
    view.setSize(...(now.plans?.size ?? [4, 3]));
    $("unseen").textContent = `This browser can't show ${file.name}. It can be upscaled all the same.`;
    $("unseen").hidden = false;
  };
  plan();
}

// Asks what every effort would take.
async function plan() {
  now.planning?.abort();
  const planning = (now.planning = new AbortController());
  $("effort").disabled = true;
  $("go").disabled = true;
  $("seconds").textContent = "…";
  $("against").textContent = "looking at the picture";
  try {
    const fields = { image: now.file, model: $("model").value, format: $("format").value };
    const options = { method: "POST", body: form(fields), signal: planning.signal };
    const plans = await json("/v1/plans", options);
    if (planning !== now.planning) return;
    const before = now.plans?.plans[$("effort").value]?.effort;
    now.plans = plans;
    view.setSize(...plans.size);
    const efforts = plans.plans.map((one) => one.effort);
    const own = plans.plans.findIndex((one) => one.default);
    $("effort").max = efforts.length - 1;
    $("effort").value = efforts.includes(before) ? efforts.indexOf(before) : own;
    $("effort").disabled = false;
    $("go").disabled = false;
    foresee();
  } catch (error) {
    if (planning !== now.planning) return;
    tell(error);
    $("seconds").textContent = "–";
    $("against").textContent = "";
    if (error.status === 415 || error.status === 413) start();
  }
}

// Shows the plan of the effort that is chosen.
function foresee() {
  const { plans, classes, cell, deepest, size, upscaled } = now.plans;
  const chosen = plans[$("effort").value];
  const name = chosen.default ? `${chosen.effort.toFixed(2)}, the model's own` : chosen.effort.toFixed(2);
  $("effort-value").textContent = name;
  $("effort").setAttribute("aria-valuetext", `${name}, about ${seconds(chosen.seconds)}`);
  $("seconds").textContent = `≈ ${seconds(chosen.seconds)}`;
  $("against").textContent = `${seconds(deepest)} with the deepest network everywhere`;
  $("share").style.width = percent(Math.min(1, chosen.seconds / deepest));
  $("caption").textContent = `${size.join(" × ")} → ${upscaled.join(" × ")}`;
  view.paint(chosen.routes, DIGITS, classes.map((one) => one.colour), cell);
  const all = chosen.routes.join("");
  const rows = classes.map(({ name, colour }, index) => {
    const share = all.split(DIGITS[index]).length - 1;
    const row = document.createElement("li");
    const [swatch, label, value] = ["i", "b", "span"].map((tag) => document.createElement(tag));
    swatch.style.background = colour;
    label.textContent = name.toLowerCase();
    value.textContent = percent(share / all.length);
    row.classList.toggle("none", share === 0);
    row.append(swatch, label, value);
    return row;
  });
  $("legend").replaceChildren(...rows);
}

async function upscale() {
  if (!now.plans || now.working) return;
  tell(null);
  forget();
  const working = (now.working = new AbortController());
  const { signal } = working;
  const effort = now.plans.plans[$("effort").value].effort;
  const fields = { image: now.file, model: $("model").value, format: $("format").value, effort };
  $("go").hidden = true;
  $("work").hidden = false;
  $("progress").removeAttribute("value");
  $("state").textContent = "sending";
  try {
    const first = await json("/v1/jobs", { method: "POST", body: form(fields), signal });
    now.job = first.id;
    const job = await follow(first.id, showProgress, signal);
    $("state").textContent = "fetching";
    const picture = await (await call(`/v1/jobs/${job.id}/image`, { signal })).blob();
    drop(job.id);
    now.job = null;
    await present(job, picture);
  } catch (error) {
    tell(error);
    leave();
  } finally {
    if (now.working === working) now.working = null;
    $("go").hidden = false;
    $("go").textContent = "Upscale again";
    $("work").hidden = true;
  }
}

function showProgress(job) {
  const waits = job.status === "waiting";
  if (waits) $("progress").removeAttribute("value");
  else $("progress").value = job.progress;
  const left = job.progress > 0.05 && job.seconds > 0.5 ? `, about ${seconds(job.seconds)} left` : "";
  const queue = job.ahead ? `${job.ahead} before it` : "next in turn";
  $("state").textContent = waits ? queue : `${percent(job.progress)}${left}`;
}

async function present(job, picture) {
  const url = URL.createObjectURL(picture);
  now.urls.push(url);
  Object.assign($("save"), { href: url, download: job.name, hidden: false });
  $("save").textContent = `Download ${job.name}`;
  const size = (picture.size / 1e6).toFixed(1);
  $("done").textContent =
    `${job.upscaled.join(" × ")} pixels, ${size} MB, in ${seconds(job.facts.seconds)}. ` +
    "Colour profile and camera data are kept.";
  $("done").hidden = false;
  const [width, height] = job.upscaled;
  try {
    if (width * height > SHOWN) throw new Error("too large");
    await view.setAfter(url, width);
    $("unseen").hidden = true;
    setRoutes(false);
    $("divider").focus({ preventScroll: true });
  } catch {
    $("unseen").textContent = "This browser can't show the upscaled picture; download it.";
    $("unseen").hidden = false;
  }
}

// Ends what is on its way.
function leave() {
  now.working?.abort();
  now.working = null;
  if (now.job) drop(now.job);
  now.job = null;
}

// The answer that is shown is not what is asked any more.
function forget() {
  $("save").hidden = $("done").hidden = true;
  $("go").textContent = "Upscale";
}

function start() {
  leave();
  now.planning?.abort();
  now.file = null;
  $("studio").hidden = true;
  $("drop").hidden = false;
  $("file").value = "";
}

function setRoutes(on) {
  $("show-routes").setAttribute("aria-pressed", on);
  $("routes").classList.toggle("off", !on);
}
const flipRoutes = () => setRoutes($("routes").classList.contains("off"));

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  keep($("key").value);
  enter().then(() => server || tell(new Error("That key is not known here.")));
});
$("panel").addEventListener("submit", (event) => {
  event.preventDefault();
  upscale();
});
$("file").addEventListener("change", () => take($("file").files[0]));
$("other").addEventListener("click", () => $("file").click());
$("stop").addEventListener("click", leave);
$("effort").addEventListener("input", foresee);
$("effort").addEventListener("change", () => setRoutes(true));
for (const id of ["model", "format"]) $(id).addEventListener("change", plan);
$("show-routes").addEventListener("click", flipRoutes);
$("zoom").addEventListener("click", () => view.setZoom(!view.zoomed));
$("view").addEventListener("zoom", () => $("zoom").setAttribute("aria-pressed", view.zoomed));

addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
for (const end of ["dragleave", "drop"]) {
  addEventListener(end, () => document.body.classList.remove("over"));
}
addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.id === "key") return;
  if (event.target.tagName === "SELECT") return;
  const key = event.key.toLowerCase();
  if (key === "escape") leave();
  else if (key === "o") $("file").click();
  else if ($("studio").hidden) return;
  else if (key === "m") flipRoutes();
  else if (key === "z") view.setZoom(!view.zoomed);
});
addEventListener("pagehide", leave);

enter();
