// The public API and nothing else. A key lives in sessionStorage: it ends with the tab and is sent to this server alone.

const KEY = "tonok.key";

export const getKey = () => sessionStorage.getItem(KEY);

/** null forgets it. */
export function setKey(key) {
  if (key === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, key);
}

/** A failure as the API words it (RFC 9457). `fields`: what is wrong, by name of the field. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `The service answered ${status}.`);
    this.status = status;
    this.code = body.code;
    this.requestId = body.request_id;
    this.errors = body.errors || [];
  }
}

async function readProblem(answer) {
  try {
    return new Problem(answer.status, await answer.json());
  } catch {
    return new Problem(answer.status, {}); // something between here and the service answered
  }
}

/** A path of this server: nothing that an answer holds can lead the key elsewhere. */
function checkPath(path) {
  const url = new URL(path, location.origin);
  if (url.origin !== location.origin || !/^\/(v1\/|readyz$)/.test(url.pathname))
    throw new Error("not a path of the API");
  return url;
}

/** fetch with the key. Raises Problem; a refused key is told to the page too. */
export async function request(path, { headers = {}, ...options } = {}) {
  const key = getKey();
  const answer = await fetch(checkPath(path), {
    ...options,
    redirect: "error",
    headers: key ? { ...headers, Authorization: `Bearer ${key}` } : headers,
  });
  if (answer.ok) return answer;
  const problem = await readProblem(answer);
  if (problem.status === 401) dispatchEvent(new CustomEvent("tonok:unauthorized", { detail: problem }));
  throw problem;
}

export async function getJson(path, signal) {
  return (await request(path, { signal })).json();
}

export async function post(path, body, { headers = {}, signal } = {}) {
  const content = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  return (await request(path, { method: "POST", headers: { ...headers, ...type }, signal, ...content })).json();
}

export const remove = (path) => request(path, { method: "DELETE" });

/** A random Idempotency-Key. Not randomUUID, which pages have over TLS or on localhost only. */
export function makeIdempotencyKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Address of the bytes for an <img> or a link: EventSource, img and a cannot send a key, fetch can. */
export async function fetchBlobUrl(path, signal) {
  const answer = await request(path, { signal });
  const url = URL.createObjectURL(await answer.blob());
  signal?.addEventListener("abort", () => URL.revokeObjectURL(url), { once: true });
  return url;
}

/** The frames of a stream of server-sent events: {id, event, data}. */
export async function* readEvents(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const frames = text.split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const fields = Object.fromEntries(frame.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields.event) yield { id: Number(fields.id) || null, event: fields.event, data: JSON.parse(fields.data) };
    }
  }
}
