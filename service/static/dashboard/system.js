// One line about the service: can it run jobs, how many wait, how much room is there, which version is it?

import { Problem, getJson } from "./api.js";
import { h } from "./dom.js";
import { formatBytes, formatCount } from "./format.js";
import { poll } from "./live.js";

const LOOK_AGAIN_MS = 10000;

export function watchSystem(line, signal) {
  let shown = null;
  return poll(
    async () => {
      const [readiness, system] = await Promise.all([checkReadiness(signal), getJson("/v1/system", signal)]);
      const parts = describe(readiness, system);
      const state = JSON.stringify(parts);
      if (state === shown) return;
      shown = state;
      const [verdict, ...rest] = parts;
      const sign = readiness.length === 0 ? "✓" : "✕";
      line.replaceChildren(
        h(
          "li",
          { class: readiness.length === 0 ? "ready" : "not-ready" },
          h("span", { "aria-hidden": "true" }, sign, " "),
          verdict,
        ),
        ...rest.map((part) => h("li", {}, part)),
      );
    },
    () => LOOK_AGAIN_MS,
    signal,
    (error) => {
      shown = null;
      if (error instanceof Problem && error.status === 401) line.replaceChildren(h("li", {}, "asks for an API key"));
    },
  );
}

/** What is wrong, in the words of /readyz. Empty: nothing. */
async function checkReadiness(signal) {
  try {
    await getJson("/readyz", signal);
    return [];
  } catch (error) {
    if (error instanceof Problem && error.status === 503)
      return error.errors.map(({ pointer, detail }) => `${pointer}: ${detail}`);
    throw error;
  }
}

const many = (count, word) => `${formatCount(count)} ${word}${count === 1 ? "" : "s"}`;

function describe(wrong, { jobs, workers, slots, disk, versions }) {
  return [
    wrong.length === 0 ? "ready" : `not ready – ${wrong.join("; ")}`,
    `${formatCount(jobs.queued)} queued, ${formatCount(jobs.running + jobs.cancelling)} running`,
    `${many(workers.length, "worker")}, ${many(slots, "slot")}`,
    `${formatBytes(disk.free_bytes)} of ${formatBytes(disk.total_bytes)} disk free`,
    [`Tonok ${versions.tonok}`, versions.torch && `torch ${versions.torch}`].filter(Boolean).join(", "),
  ];
}
