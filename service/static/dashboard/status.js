// How a job stands, in a word, a sign and a colour, and the table that lists jobs.

import { h, setText } from "./dom.js";
import { formatName, formatProgress, formatRuntime, formatTime, shortenId } from "./format.js";

const SIGNS = { queued: "○", running: "◐", cancelling: "◐", succeeded: "✓", failed: "✕", cancelled: "⊘" };

export const STATUSES = Object.keys(SIGNS);
export const hasEnded = (job) => ["succeeded", "failed", "cancelled"].includes(job.status);

export const jobAddress = (id) => `#/jobs/${encodeURIComponent(id)}`;
export const modelAddress = (id) => `#/models/${encodeURIComponent(id)}`;

export function buildStatus() {
  const sign = h("span", { "aria-hidden": "true" });
  const word = h("span");
  const node = h("span", { class: "status" }, sign, " ", word);
  const update = (status) => {
    setText(sign, SIGNS[status] ?? "•");
    setText(word, status);
    node.className = `status ${status in SIGNS ? status : ""}`;
  };
  return { node, update };
}

/** A bar that is there while it says something. */
export function buildProgress(label, tellsEnd = false) {
  const bar = h("progress", { max: 100, value: 0, "aria-label": label });
  const text = h("span", { class: "progress-text" });
  const node = h("div", { class: "progress" }, bar, text);
  const update = (job) => {
    const { percent } = job.progress;
    const ended = hasEnded(job) && job.started_at !== null && `${job.status} after ${formatRuntime(job)}`;
    const isRunning = job.status === "running" || job.status === "cancelling";
    bar.hidden = hasEnded(job) || (job.status === "queued" && !percent);
    bar.value = percent ?? 0;
    const isKnown = percent !== null && job.status !== "succeeded" && !(job.status === "queued" && percent === 0);
    const words = [isKnown && `${percent.toFixed(0)} %`, isRunning && job.phase && formatName(job.phase)];
    setText(text, [...words, tellsEnd && ended, formatProgress(job.progress, isRunning)].filter(Boolean).join(" · "));
  };
  return { node, update };
}

export const nameJob = (job) => job.name ?? `${job.kind} ${shortenId(job.id)}`;

/** A table of jobs that changes in place: a row keeps its link, and with it the reader's focus. */
export function buildJobTable(caption) {
  const rows = new Map();
  const body = h("tbody");
  const heads = ["Job", "Kind", "Status", "Progress", "Submitted", "Ran for"];
  const node = h(
    "table",
    { class: "cards jobs" },
    h("caption", { class: "hidden" }, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        heads.map((head) => h("th", { scope: "col" }, head)),
      ),
    ),
    body,
  );
  const update = (jobs) => {
    const wanted = new Set(jobs.map(({ id }) => id));
    for (const [id, row] of rows) {
      if (!wanted.has(id)) {
        row.node.remove();
        rows.delete(id);
      }
    }
    jobs.forEach((job, index) => {
      if (!rows.has(job.id)) rows.set(job.id, buildRow(job));
      const row = rows.get(job.id);
      row.update(job);
      if (body.children[index] !== row.node) body.insertBefore(row.node, body.children[index] ?? null);
    });
  };
  return { node, update };
}

function buildRow(job) {
  const status = buildStatus();
  const progress = buildProgress(`Progress of ${nameJob(job)}`);
  const runtime = h("td", { "data-column": "Ran for" });
  const labels = Object.entries(job.labels).map(([key, value]) => h("span", { class: "label" }, `${key}=${value}`));
  const node = h(
    "tr",
    {},
    h(
      "th",
      { scope: "row", "data-column": "Job" },
      h("a", { href: jobAddress(job.id), title: job.id }, nameJob(job)),
      labels,
      job.parent_job_id &&
        h("small", {}, "step of ", h("a", { href: jobAddress(job.parent_job_id) }, shortenId(job.parent_job_id))),
    ),
    h("td", { "data-column": "Kind" }, job.kind),
    h("td", { "data-column": "Status" }, status.node),
    h("td", { "data-column": "Progress" }, progress.node),
    h("td", { "data-column": "Submitted", title: job.created_at }, formatTime(job.created_at)),
    runtime,
  );
  const update = (fresh) => {
    status.update(fresh.status);
    progress.update(fresh);
    setText(runtime, formatRuntime(fresh));
  };
  return { node, update };
}
