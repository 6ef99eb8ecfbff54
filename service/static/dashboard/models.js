// All models: the plane of bytes and accuracy, and a table with every measure.

import { getJson } from "./api.js";
import { h, table } from "./dom.js";
import { formatMacs, formatPercent, formatTime, shortenId } from "./format.js";
import { buildFront, narrowPage } from "./front.js";
import { buildSizes, describeAccuracy, formatAccuracy, formatDrop } from "./numbers.js";
import { poll } from "./live.js";
import { jobAddress, modelAddress } from "./status.js";

const PAGE_SIZE = 25;
const LOOK_AGAIN_MS = 15000;

const COLUMNS = [
  { name: "Model" },
  { name: "Accuracy, test", numeric: true },
  { name: "Accuracy, validation", numeric: true },
  { name: "Drop, test", numeric: true },
  { name: "Sparsity", numeric: true },
  { name: "Work", numeric: true },
  { name: "Size" },
  { name: "Made from" },
];

export const title = () => "Models";

export async function show(main, { query, signal, go }) {
  const found = h("div");
  const plane = h("section", { class: "panel", "aria-label": "Bytes and accuracy", hidden: true });
  const split = query.get("split") === "test" ? "test" : "validation";
  main.append(
    h(
      "div",
      { class: "title" },
      h("h1", { tabindex: -1 }, "Models"),
      h("div", { class: "actions" }, h("a", { class: "button", href: "#/bring" }, "Bring a model")),
    ),
    plane,
    found,
  );
  const asked = new URLSearchParams({ page_size: PAGE_SIZE });
  for (const name of ["page_token", "job_id", "parent_model_id"]) if (query.get(name)) asked.set(name, query.get(name));
  let shown = null;
  poll(
    async () => {
      const [page, pareto] = await Promise.all([
        getJson(`/v1/models?${asked}`, signal),
        getJson(`/v1/pareto?split=${split}`, signal),
      ]);
      const state = JSON.stringify([page, pareto]);
      if (state === shown) return; // nothing moves below a reader's eyes
      shown = state;
      showPlane(plane, pareto, query, go, signal);
      found.replaceChildren(...(page.models.length > 0 ? buildList(page, query) : [buildEmpty()]));
    },
    () => LOOK_AGAIN_MS,
    signal,
    (error) => found.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message)),
  );
}

function showPlane(plane, pareto, query, go, signal) {
  plane.hidden = pareto.points.length === 0;
  if (plane.hidden) return;
  const groups = [...new Set(pareto.points.map(({ group }) => group))];
  const group = groups.includes(query.get("group")) ? query.get("group") : countMost(pareto.points, groups);
  const choose = () => go("models", { split: splits.value, group: sets.value });
  const sets = buildSelect(groups, group, choose);
  const splits = buildSelect(["validation", "test"], pareto.split, choose);
  const points = pareto.points.filter((point) => point.group === group);
  const place = h("div");
  const draw = () => place.replaceChildren(buildFront(points, pareto.split));
  draw();
  narrowPage.addEventListener("change", draw, { signal });
  plane.replaceChildren(
    h("h2", {}, "Smallest against most accurate"),
    h(
      "div",
      { class: "filters" },
      h("label", {}, "Measured on ", sets),
      h("label", {}, "Accuracy on ", splits),
      pareto.split === "test" && h("span", { class: "quiet" }, "Test is for reports: choose by validation."),
    ),
    place,
  );
}

const countMost = (points, groups) =>
  groups.reduce((best, name) => (count(points, name) > count(points, best) ? name : best), groups[0]);
const count = (points, group) => points.filter((point) => point.group === group).length;

function buildSelect(names, value, change) {
  return h(
    "select",
    { value, on: { change } },
    names.map((name) => h("option", { value: name }, name)),
  );
}

function buildList(page, query) {
  const rows = page.models.map((model) => [
    [
      h("a", { href: modelAddress(model.id), title: model.id }, model.name),
      h("small", {}, `${model.architecture}, ${model.dataset ?? "no data set"}, ${formatTime(model.created_at)}`),
    ],
    h("span", { title: describeAccuracy(model, "test") }, formatAccuracy(model, "test")),
    h("span", { title: describeAccuracy(model, "validation") }, formatAccuracy(model, "validation")),
    formatDrop(model, "test"),
    formatPercent(model.sparsity),
    formatMacs(model.macs),
    buildSizes(model),
    buildOrigin(model, page.models),
  ]);
  const older = new URLSearchParams(query);
  older.set("page_token", page.next_page_token);
  return [
    table("Models, newest first", COLUMNS, rows, "models"),
    h(
      "p",
      { class: "quiet" },
      "Drop: percentage points below the model that the job started from. Ratios are against float32.",
    ),
    h(
      "nav",
      { class: "pages", "aria-label": "Pages of models" },
      query.get("page_token") && h("a", { class: "button", href: "#/models" }, "Newest"),
      page.next_page_token && h("a", { class: "button", href: `#/models?${older}` }, "Older"),
    ),
  ];
}

function buildOrigin(model, shown) {
  const parent = model.parent_model_id;
  const name = shown.find(({ id }) => id === parent)?.name ?? (parent && shortenId(parent));
  return [
    parent ? h("a", { href: modelAddress(parent), title: parent }, name) : "nothing",
    h("small", {}, "by ", h("a", { href: jobAddress(model.job_id), title: model.job_id }, shortenId(model.job_id))),
  ];
}

function buildEmpty() {
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, "No models yet"),
    h("p", {}, "A train job makes the first one; prune, quantize and compress make smaller ones of it."),
    h("p", {}, h("a", { class: "button primary", href: "#/new/train?example=yes" }, "Train a small network")),
    h("p", {}, "or ", h("a", { href: "#/bring" }, "bring one of your own"), "."),
  );
}
