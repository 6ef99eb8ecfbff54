// One model: its numbers, its size by every measure, where it came from, and what can be made of it.

import { getJson } from "./api.js";
import { buildDownload } from "./artifacts.js";
import { facts, h, table } from "./dom.js";
import { formatCount, formatPercent, formatTime, shortenId } from "./format.js";
import { buildFigures, buildHealth, buildLedger, buildSizes, formatAccuracy } from "./numbers.js";
import { jobAddress, modelAddress } from "./status.js";

const MAKERS = ["prune", "quantize", "compress"];

export const title = (id) => `Model ${shortenId(id)}`;

export async function show(main, { id, signal }) {
  const path = `/v1/models/${encodeURIComponent(id)}`;
  const model = await getJson(path, signal);
  document.title = `${model.name} · Tonok`;
  const lineage = h("section", { "aria-label": "Lineage" }, h("h2", {}, "Lineage"));
  const zeros = h("section", { "aria-label": "Zeros" }, h("h2", {}, "Zeros by layer"));
  main.append(
    h(
      "p",
      { class: "crumbs" },
      h("a", { href: "#/models" }, "Models"),
      ` / ${model.architecture}, ${model.dataset ?? "measured on no data set"}`,
    ),
    h(
      "div",
      { class: "title" },
      h("h1", { tabindex: -1 }, model.name),
      h("div", { class: "actions" }, buildMakers(model)),
    ),
    h("section", { "aria-label": "Numbers" }, buildHealth(model), buildFigures(model)),
    h("section", { "aria-label": "Size" }, h("h2", {}, "Size by every measure"), buildLedger(model)),
    lineage,
    zeros,
    h("section", { "aria-label": "About" }, h("h2", {}, "About and download"), buildAbout(model, signal)),
  );
  await Promise.all([showLineage(model, lineage, signal), showZeros(path, zeros, signal)]);
}

/** Quantized weights are only exported: every other job starts from the float model. What was not measured is fine-tuned
 * first. */
function buildMakers(model) {
  const isFloat = "checkpoint" in model.files;
  if (isFloat && model.not_measured !== null) {
    const href = `#/new/train?initial_model_id=${encodeURIComponent(model.id)}`;
    return h("a", { class: "button", href }, "fine-tune");
  }
  const kinds = isFloat ? [...MAKERS, "export"] : ["export"];
  return kinds.map((kind) =>
    h("a", { class: "button", href: `#/new/${kind}?model_id=${encodeURIComponent(model.id)}` }, kind),
  );
}

function buildAbout(model, signal) {
  const files = Object.entries(model.files).map(([format, file]) =>
    h("span", { class: "label" }, buildDownload(file.url, `${model.id}-${format}`, format, signal)),
  );
  return facts([
    ["Id", h("code", { class: "id" }, model.id)],
    ["Made by", h("a", { href: jobAddress(model.job_id) }, shortenId(model.job_id))],
    ["Made", formatTime(model.created_at)],
    ["Download", files.length > 0 && files],
  ]);
}

async function showLineage(model, section, signal) {
  const [ancestors, children] = await Promise.all([
    Promise.all(model.lineage.map((id) => getJson(`/v1/models/${encodeURIComponent(id)}`, signal))),
    getJson(`/v1/models?parent_model_id=${encodeURIComponent(model.id)}&page_size=50`, signal),
  ]);
  const chain = [...ancestors.reverse(), model].map((one) => {
    const name =
      one === model ? h("b", { "aria-current": "true" }, one.name) : h("a", { href: modelAddress(one.id) }, one.name);
    return h("li", {}, name, h("small", {}, `${formatAccuracy(one, "test")} test`));
  });
  section.append(h("ol", { class: "chain" }, chain));
  if (children.models.length === 0) return;
  const columns = [{ name: "Made from it" }, { name: "Accuracy, test", numeric: true }, { name: "Size" }];
  const rows = children.models.map((child) => [
    h("a", { href: modelAddress(child.id) }, child.name),
    formatAccuracy(child, "test"),
    buildSizes(child),
  ]);
  section.append(table("Models made from this one", columns, rows));
}

async function showZeros(path, section, signal) {
  const { layers } = await getJson(`${path}/sparsity`, signal);
  if (layers.length === 0) {
    section.append(h("p", { class: "quiet" }, "Not measured."));
    return;
  }
  const columns = [
    { name: "Layer" },
    { name: "Zeros", numeric: true },
    { name: "Weights", numeric: true },
    { name: "Sparsity", numeric: true },
    { name: "Zeros of its weights" },
  ];
  const rows = layers.map(({ name, zeros, total, sparsity }) => [
    name,
    formatCount(zeros),
    formatCount(total),
    formatPercent(sparsity),
    h("meter", { min: 0, max: 1, value: sparsity, "aria-label": `${name}: ${formatPercent(sparsity)} zeros` }),
  ]);
  section.append(table("Zeros by layer", columns, rows));
}
