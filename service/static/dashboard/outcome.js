// What a job has made: its model's numbers, and its whole result to take away.

import { getJson } from "./api.js";
import { buildDownload } from "./artifacts.js";
import { h } from "./dom.js";
import { buildExportFigures, buildFigures } from "./numbers.js";
import { modelAddress } from "./status.js";

export async function buildOutcome(job, section, signal) {
  if (job.status !== "succeeded") return;
  const name = `${job.id}-result.json`;
  const actions = h("p", { class: "actions" }, buildDownload(job.links.result, name, "Whole result as JSON", signal));
  section.hidden = false;
  section.replaceChildren(h("h2", {}, "Outcome"), actions);
  if (job.kind === "export") {
    const { result } = await getJson(job.links.result, signal);
    actions.before(buildExportFigures(result));
  }
  if (job.output_model_id === null) return;
  const model = await getJson(`/v1/models/${encodeURIComponent(job.output_model_id)}`, signal);
  actions.prepend(h("a", { class: "button", href: modelAddress(model.id) }, `Model ${model.name}`));
  actions.before(buildFigures(model));
}
