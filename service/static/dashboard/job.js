// One job, live: how far it is, what it measures, what became of it.

import { getJson, makeIdempotencyKey, post, remove } from "./api.js";
import { buildArtifacts } from "./artifacts.js";
import { announce, confirmAction, facts, h, notify, setText } from "./dom.js";
import { formatDuration, formatName, formatRuntime, formatTime, formatValue, shortenId } from "./format.js";
import { followJob, poll, throttle } from "./live.js";
import { buildCharts } from "./metrics.js";
import { buildOutcome } from "./outcome.js";
import { buildJobTable, buildProgress, buildStatus, hasEnded, jobAddress, modelAddress, nameJob } from "./status.js";

const MOST_LINES = 200;

export const title = (id) => `Job ${shortenId(id)}`;

export async function show(main, { id, signal, go }) {
  const path = `/v1/jobs/${encodeURIComponent(id)}`;
  let job = await getJson(path, signal);
  const view = buildView(job, signal, go);
  main.append(...view.nodes);
  document.title = `${nameJob(job)} · Tonok`;

  const refresh = async () => {
    try {
      const fresh = await getJson(path, signal);
      if (hasEnded(job)) return; // the stream was faster, and an end is an end
      job = fresh;
      view.update(job);
    } catch {
      // the stream or the next look will tell
    }
  };
  const measure = async () => {
    try {
      view.charts.update((await getJson(`${job.links.metrics}?max_points=500`, signal)).series);
    } catch {
      // shown as it was
    }
  };
  const refreshSoon = throttle(refresh, 300);
  const measureSoon = throttle(measure, 500);
  const endedBefore = hasEnded(job);
  const teller = new Teller();

  view.update(job);
  measure();
  if (job.kind === "study") showSteps(view, job, signal);
  if (!endedBefore) watchClock(view, () => job, signal);
  followJob(
    job.links.stream,
    ({ event, data }) => {
      if (event === "done") {
        job = data;
        view.update(job);
        measure();
        if (!endedBefore) announce(`The job has ${job.status === "cancelled" ? "been cancelled" : job.status}.`);
        return;
      }
      view.addLine(event, data);
      if (endedBefore) return;
      if (event === "progress") {
        job = mergeProgress(job, data.data);
        view.update(job);
        teller.tell(job);
        if (data.data.metrics) measureSoon();
      } else {
        refreshSoon();
      }
    },
    () => {
      refresh();
      measure();
    },
    signal,
  );
}

/** Tells screen readers of each phase and each tenth, not of each step. */
class Teller {
  #told = "";

  tell(job) {
    const tenth = Math.floor((job.progress.percent ?? 0) / 10) * 10;
    const text = `${formatName(job.phase ?? job.status)}, ${tenth} %`;
    if (text !== this.#told) announce(text);
    this.#told = text;
  }
}

/** An event of progress holds what it changes: the job's own answer is not asked for at every step. */
function mergeProgress(job, { phase, message: _message, metrics: _metrics, ...progress }) {
  // The log is told from its beginning, and the job is further than that.
  if (new Date(progress.updated_at) <= new Date(job.progress.updated_at ?? 0)) return job;
  const known = Object.keys(job.progress);
  const news = Object.fromEntries(Object.entries(progress).filter(([name]) => known.includes(name)));
  const status = job.status === "queued" ? "running" : job.status;
  return { ...job, status, phase: phase ?? job.phase, progress: { ...job.progress, ...news } };
}

function watchClock(view, read, signal) {
  const timer = setInterval(() => (hasEnded(read()) ? clearInterval(timer) : view.tick(read())), 1000);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

async function showSteps(view, job, signal) {
  const steps = buildJobTable("Steps of this job");
  view.steps.append(h("h2", { id: "steps-title" }, "Steps"), steps.node);
  await poll(
    async () => {
      const page = await getJson(`${job.links.steps}&page_size=100`, signal);
      steps.update(page.jobs);
      return page.jobs.length > 0 && page.jobs.every(hasEnded);
    },
    (isOver) => (isOver ? 15000 : 3000),
    signal,
  );
}

function buildView(job, signal, go) {
  const status = buildStatus();
  const progress = buildProgress("Progress", true);
  const charts = buildCharts();
  const actions = h("div", { class: "actions" });
  const trouble = h("div");
  const about = h("div");
  const outcome = h("section", { "aria-label": "Outcome", hidden: true });
  const measured = h("section", { "aria-label": "Measurements" }, h("h2", {}, "Measured while it runs"), charts.node);
  const steps = h("section", { "aria-label": "Steps", hidden: job.kind !== "study" });
  const files = h("section", { "aria-label": "Files" }, h("h2", {}, "Files"));
  const lines = h("ol", { class: "lines", tabindex: 0, "aria-label": "Log of events" });
  const runtime = h("span");
  const seen = { actions: "", about: "", trouble: "", ended: false };
  const run = buildActions(job, go);

  const tick = (fresh) => setText(runtime, formatRuntime(fresh));
  const update = (fresh) => {
    status.update(fresh.status);
    progress.update(fresh);
    tick(fresh);
    replaceIfNew(seen, "actions", fresh.status, () => actions.replaceChildren(...run(fresh)));
    replaceIfNew(seen, "trouble", JSON.stringify([fresh.error, fresh.warnings]), () =>
      trouble.replaceChildren(...buildTrouble(fresh)),
    );
    const key = JSON.stringify([fresh.attempt, fresh.started_at, fresh.finished_at, fresh.output_model_id]);
    replaceIfNew(seen, "about", key, () => about.replaceChildren(buildAbout(fresh, runtime)));
    if (hasEnded(fresh) && !seen.ended) {
      seen.ended = true;
      charts.end();
      showEnd(fresh, outcome, files, signal);
    }
  };
  const addLine = (event, { data, attempt, created_at: moment }) => {
    const text = describeEvent(event, data, attempt);
    if (text === null) return;
    const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 30;
    lines.append(h("li", {}, h("time", { datetime: moment }, new Date(moment).toLocaleTimeString("en-GB")), " ", text));
    if (lines.children.length > MOST_LINES) lines.firstChild.remove();
    if (isAtEnd) lines.scrollTop = lines.scrollHeight;
  };
  files.append(h("p", { class: "quiet" }, "They appear when the job has ended."));
  const nodes = [
    h("p", { class: "crumbs" }, h("a", { href: "#/jobs" }, "Jobs"), " / ", job.kind),
    h("div", { class: "title" }, h("h1", { tabindex: -1 }, nameJob(job), " ", status.node), actions),
    h("section", { class: "panel now", "aria-label": "Progress" }, progress.node, trouble),
    outcome,
    measured,
    steps,
    files,
    h(
      "div",
      { class: "columns" },
      h("section", { "aria-label": "About" }, h("h2", {}, "About"), about),
      h("section", { "aria-label": "Spec" }, h("h2", {}, "Spec"), buildSpec(job)),
    ),
    h("section", { "aria-label": "Log" }, h("h2", {}, "Log"), lines),
  ];
  return { nodes, charts, steps, update, addLine, tick };
}

function replaceIfNew(seen, name, key, replace) {
  if (seen[name] === key) return;
  seen[name] = key;
  replace();
}

async function showEnd(job, outcome, files, signal) {
  const parts = [buildOutcome(job, outcome, signal)];
  parts.push(
    getJson(job.links.artifacts, signal).then(({ artifacts }) =>
      files.replaceChildren(h("h2", {}, "Files"), ...buildArtifacts(artifacts, signal).filter(Boolean)),
    ),
  );
  await Promise.allSettled(parts);
}

function buildActions(job, go) {
  const attempt =
    (action) =>
    async ({ currentTarget: target }) => {
      target.disabled = true;
      try {
        await action();
      } catch (error) {
        notify(error.message);
      }
      target.disabled = false;
    };
  const name = nameJob(job);
  const cancel = async () => {
    if (
      !(await confirmAction(
        `Cancel “${name}”?`,
        "It stops within seconds. What it has computed so far gives no model.",
        "Cancel the job",
      ))
    )
      return;
    await post(job.links.cancel);
    notify("The job is being cancelled.");
  };
  const retry = async () => {
    if (
      !(await confirmAction(
        `Submit “${name}” again?`,
        "A new job with the same spec and seed is queued; this one stays.",
        "Submit it again",
      ))
    )
      return;
    const again = await post(job.links.retry, undefined, { headers: { "Idempotency-Key": makeIdempotencyKey() } });
    go(`jobs/${again.id}`);
  };
  const drop = async () => {
    const text = "The job, its steps, its models and its files are gone for good.";
    if (!(await confirmAction(`Delete “${name}”?`, text, "Delete for good"))) return;
    await remove(job.links.self);
    notify("The job is deleted.");
    go("jobs");
  };
  const button = (label, action, kind = "") =>
    h("button", { type: "button", class: kind, on: { click: attempt(action) } }, label);
  return (fresh) => {
    if (hasEnded(fresh)) return [button("Retry", retry), button("Delete", drop, "danger")];
    return fresh.status === "cancelling" ? [] : [button("Cancel", cancel, "danger")];
  };
}

function buildTrouble({ error, warnings }) {
  const failure =
    error &&
    h(
      "div",
      { class: "problem", role: "alert" },
      h("h2", {}, error.title),
      h("p", {}, error.detail),
      h(
        "p",
        { class: "quiet" },
        h("code", {}, error.code),
        error.retryable ? " · may work when it is tried again" : " · will fail again as it is",
      ),
    );
  return [failure, ...warnings.map((warning) => h("p", { class: "warning" }, warning))].filter(Boolean);
}

function buildAbout(job, runtime) {
  const link = (address, id) => id && h("a", { href: address(id), title: id }, shortenId(id));
  const labels = Object.entries(job.labels).map(([key, value]) => h("span", { class: "label" }, `${key}=${value}`));
  return facts([
    ["Id", h("code", { class: "id" }, job.id)],
    ["Kind", job.kind],
    ["Started from", link(modelAddress, job.model_id)],
    ["Made", link(modelAddress, job.output_model_id)],
    ["Step of", link(jobAddress, job.parent_job_id)],
    ["Labels", labels.length > 0 && labels],
    ["Attempt", job.attempt > 0 && `${job.attempt} of ${job.max_attempts}`],
    ["Submitted", formatTime(job.created_at)],
    ["Started", job.started_at && formatTime(job.started_at)],
    ["Ended", job.finished_at && formatTime(job.finished_at)],
    ["Ran for", job.started_at && runtime],
    ["Stopped after", formatDuration(job.max_runtime_s)],
    ["Request", job.request_id && h("code", { class: "id" }, job.request_id)],
  ]);
}

function buildSpec(job) {
  const names = Object.keys(job.resolved_spec).filter((name) => name !== "kind");
  const pairs = names.map((name) => [name, buildSpecValue(job, name)]);
  return facts(pairs, "facts spec");
}

function buildSpecValue(job, name) {
  const value = formatValue(job.resolved_spec[name]);
  const isSent = Object.hasOwn(job.spec, name);
  return isSent ? h("b", {}, value) : h("span", { class: "quiet" }, value, h("span", { class: "default" }, " default"));
}

const WORDS = {
  queued: () => "queued",
  started: ({ counted_attempt: counted }, attempt) => `attempt ${counted ?? attempt} started`,
  requeued: ({ reason }) => `queued again${reason ? `: ${formatName(reason)}` : ""}`,
  step_started: ({ step, kind }) => `step ${step} (${kind}) started`,
  step_ended: ({ step, kind, status }) => `step ${step} (${kind}) ended${status ? `: ${status}` : ""}`,
  waiting: ({ steps }) => `waits for ${Object.keys(steps ?? {}).join(", ")}`,
  warning: ({ message }) => `warning: ${message}`,
  failed: ({ error }) => `failed${error ? `: ${error.title}` : ""}`,
};

/** One line of the log, or null for a progress that is only a number. */
function describeEvent(event, data, attempt) {
  if (event === "progress") return data.message ?? null;
  return event in WORDS ? WORDS[event](data, attempt) : formatName(event);
}
