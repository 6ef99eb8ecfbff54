// The list of jobs: newest first, by kind and status, a page at a time.

import { getJson } from "./api.js";
import { h } from "./dom.js";
import { poll } from "./live.js";
import { STATUSES, buildJobTable, hasEnded } from "./status.js";

const PAGE_SIZE = 25;
const BUSY_MS = 3000;
const IDLE_MS = 10000;

/** Kinds that clients do not post but that jobs may have. */
const OTHER_KINDS = ["import", "predict"];

export const title = () => "Jobs";

export async function show(main, { query, signal, go }) {
  const list = buildJobTable("Jobs, newest first");
  const found = h("div", { "aria-live": "off" });
  const pages = h("nav", { class: "pages", "aria-label": "Pages of jobs" });
  const filters = buildFilters(query, go);
  main.append(
    h(
      "div",
      { class: "title" },
      h("h1", { tabindex: -1 }, "Jobs"),
      h("a", { class: "button primary", href: "#/new" }, "New job"),
    ),
    filters.node,
    found,
    pages,
  );
  getJson("/v1/methods", signal).then(
    (methods) => filters.setKinds(methods.job_kinds.map(({ name }) => name)),
    () => {},
  );

  const asked = new URLSearchParams({ page_size: PAGE_SIZE });
  for (const name of ["kind", "status", "page_token", "label", "model_id"])
    if (query.get(name)) asked.set(name, query.get(name));
  poll(
    async () => {
      const page = await getJson(`/v1/jobs?${asked}`, signal);
      list.update(page.jobs);
      const content = page.jobs.length > 0 ? list.node : buildEmpty(query);
      if (found.firstChild !== content && !(found.dataset.empty && page.jobs.length === 0))
        found.replaceChildren(content);
      if (page.jobs.length === 0) found.dataset.empty = "yes";
      else delete found.dataset.empty;
      showPages(pages, query, page.next_page_token);
      return page.jobs;
    },
    (jobs) => (jobs.every(hasEnded) ? IDLE_MS : BUSY_MS),
    signal,
    (error) => found.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message)),
  );
}

function buildFilters(query, go) {
  const choose = () => go("jobs", { kind: kind.value, status: status.value });
  const kind = h("select", { on: { change: choose } });
  const status = h("select", { on: { change: choose } });
  fill(status, STATUSES, query.get("status"));
  const setKinds = (kinds) => fill(kind, [...kinds, ...OTHER_KINDS], query.get("kind"));
  setKinds(query.get("kind") ? [query.get("kind")] : []);
  const node = h(
    "div",
    { class: "filters", role: "search", "aria-label": "Jobs" },
    h("label", {}, "Kind ", kind),
    h("label", {}, "Status ", status),
  );
  return { node, setKinds };
}

function fill(select, names, chosen) {
  const options = [h("option", { value: "" }, "all"), ...new Set(names)].map((name) =>
    name.nodeType ? name : h("option", { value: name }, name),
  );
  select.replaceChildren(...options);
  select.value = chosen ?? "";
}

/** Pages are entries of the browser's history: back is the newer page. */
function showPages(pages, query, next) {
  const link = (label, token) => {
    const target = new URLSearchParams(query);
    if (token) target.set("page_token", token);
    else target.delete("page_token");
    const address = `#/jobs?${target}`;
    const old = [...pages.children].find((child) => child.textContent === label);
    if (old?.getAttribute("href") === address) return old;
    return h("a", { class: "button", href: address }, label);
  };
  const links = [query.get("page_token") && link("Newest", null), next && link("Older", next)].filter(Boolean);
  if (links.length !== pages.children.length || links.some((one, index) => pages.children[index] !== one))
    pages.replaceChildren(...links);
}

function buildEmpty(query) {
  if (["kind", "status", "page_token", "label", "model_id"].some((name) => query.get(name))) {
    return h("p", { class: "empty" }, "No job is like that. ", h("a", { href: "#/jobs" }, "Show all jobs"));
  }
  const body = '{"dataset": "digits", "architecture": "lenet5", "epochs": 20, "learning_rate": 0.02}';
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, "Train a first network"),
    h("p", {}, "Nothing has been asked for yet. A small network on handwritten digits takes seconds and no download:"),
    h("p", {}, h("a", { class: "button primary", href: "#/new/train?example=yes" }, "Open the form, filled in")),
    h("p", {}, "or from a shell:"),
    h("pre", {}, `curl -fsS ${location.origin}/v1/jobs/train -H 'Content-Type: application/json' \\\n  -d '${body}'`),
  );
}
