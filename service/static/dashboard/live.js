// What changes while one looks at it: polling and streams, neither of which goes on in a hidden tab.

import { Problem, readEvents, request } from "./api.js";

const RETRY_MS = 3000;

const sleep = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });

/** Resolves once the tab is looked at. */
function becomeVisible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const listener = () => document.hidden || resolve();
    document.addEventListener("visibilitychange", listener, { signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/** Aborts with `signal`, and when the tab is hidden. */
function whileVisible(signal) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  signal.addEventListener("abort", stop, { once: true });
  document.addEventListener("visibilitychange", () => document.hidden && stop(), { signal: controller.signal });
  return controller.signal;
}

/** Says on the page that numbers may be old. null: they are not. */
function tellConnection(error) {
  const banner = document.getElementById("connection");
  const text =
    error === null || error instanceof Problem
      ? ""
      : "The service does not answer. What is shown may be old; trying again.";
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = text === "";
}

/**
 * Calls `load` now and again and again, `intervalMs(result)` apart, until the signal. A 401 ends it: the page asks for
 * the key. Other failures go to `onError` and are tried again.
 */
export async function poll(load, intervalMs, signal, onError = () => {}) {
  while (!signal.aborted) {
    await becomeVisible(signal);
    if (signal.aborted) return;
    let pause = RETRY_MS;
    try {
      pause = intervalMs(await load());
      tellConnection(null);
    } catch (error) {
      if (signal.aborted) return;
      tellConnection(error);
      onError(error);
      if (error instanceof Problem && [401, 404].includes(error.status)) return;
    }
    await sleep(pause, signal);
  }
}

/**
 * Follows a job's events to its end, whatever breaks in between. A hidden tab lets its stream go: browsers allow six
 * connections to a server, and some tabs more would leave none for anything else. `onLost` is called before each new try:
 * where the service has no stream to give, it is how the page still learns.
 */
export async function followJob(path, onEvent, onLost, signal) {
  let lastSeq = 0;
  while (!signal.aborted) {
    await becomeVisible(signal);
    if (signal.aborted) return;
    const open = whileVisible(signal);
    try {
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(lastSeq) };
      const answer = await request(path, { headers, signal: open });
      tellConnection(null);
      for await (const frame of readEvents(answer)) {
        if (signal.aborted) return;
        if (frame.event === "unavailable") break; // the service cannot read on: try again, as after any other end
        lastSeq = frame.id ?? lastSeq;
        onEvent(frame);
        if (frame.event === "done") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && [401, 404].includes(error.status)) return;
      if (!open.aborted) tellConnection(error);
    }
    if (document.hidden) continue;
    await sleep(RETRY_MS, signal);
    if (!signal.aborted) onLost();
  }
}

/** Runs `action` soon, however often it is asked to: at most once in `ms`. */
export function throttle(action, ms) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      action();
    }, ms);
  };
}
