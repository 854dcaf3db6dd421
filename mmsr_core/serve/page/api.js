// Talks to the server: what goes wrong is an Error whose message is the problem's one line.

const KEY = "mmsr-key";

export const keep = (key) => sessionStorage.setItem(KEY, key);

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: headers() });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ detail: answer.statusText }));
  const error = new Error(problem.detail);
  error.status = answer.status;
  throw error;
}

export const json = async (path, options) => (await call(path, options)).json();

export function form(fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== "" && value !== null) data.append(name, value);
  }
  return data;
}

// Tells `watch` how a job is until it has ended; gives its last state.
export async function follow(id, watch, signal) {
  for (;;) {
    const job = await json(`/v1/jobs/${id}`, { signal });
    watch(job);
    if (job.status === "failed") throw new Error(job.problem.detail);
    if (job.status === "cancelled") throw new Error("The server ended this job.");
    if (job.status === "done") return job;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

// Also while the page is being left.
export const drop = (id) =>
  fetch(`/v1/jobs/${id}`, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
