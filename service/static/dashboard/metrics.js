// Which series of a job belong into one chart: those of one network and one measure, such as `4bit_train_accuracy` and
// `4bit_validation_accuracy`.

import { h } from "./dom.js";
import { formatName } from "./format.js";
import { MEASURES, STEPS, buildCurve } from "./curve.js";

const ORDER = ["accuracy", "drop", "loss", "bytes", "other"];

/** Name of a series → {group, line, measure, step}. */
function readSeriesName(name) {
  const parts = name.split("_");
  const last = parts.at(-1);
  const measure = last in MEASURES ? last : "other";
  const stem = measure === "other" ? parts : parts.slice(0, -1);
  const line = stem.at(-1) ?? name;
  const step = line === "probe" ? "sparsity" : line === "candidate" || measure === "bytes" ? "candidate" : "epoch";
  const isSplit = line === "train" || line === "validation";
  return {
    group: (isSplit ? stem.slice(0, -1) : stem).join("_"),
    line: isSplit ? line : stem.join("_") || name,
    measure,
    step,
  };
}

/** All charts of a job. Returns {node, update, end}: update takes the API's `series`. */
export function buildCharts() {
  const charts = new Map();
  const empty = h("p", { class: "quiet" }, "No measurements yet.");
  const node = h("div", { class: "charts" }, empty);

  const update = (series) => {
    const groups = new Map();
    for (const [name, points] of Object.entries(series)) {
      const place = readSeriesName(name);
      const key = `${ORDER.indexOf(place.measure)} ${place.group}`;
      if (!groups.has(key)) groups.set(key, { ...place, lines: [] });
      // Probes of a search come as they were tried, not by sparsity.
      const inOrder = points.map(({ step, value }) => ({ x: step, y: value })).sort((a, b) => a.x - b.x);
      groups.get(key).lines.push({ name: place.line, points: inOrder });
    }
    for (const key of [...groups.keys()].sort()) {
      const group = groups.get(key);
      if (!charts.has(key)) {
        const chart = buildCurve(nameChart(group), MEASURES[group.measure], STEPS[group.step]);
        charts.set(key, chart);
      }
      charts.get(key).update(group.lines);
    }
    const sorted = [...charts.keys()].sort().map((key) => charts.get(key).node);
    if (sorted.some((chart, index) => node.children[index] !== chart)) node.replaceChildren(...sorted);
  };
  const end = () => (empty.textContent = "Nothing was measured while it ran; its steps may have.");
  return { node, update, end };
}

function nameChart({ group, measure, lines }) {
  if (measure === "other") return formatName(lines[0].name);
  const of = measure === "bytes" ? "" : group.replace(/^(\d+)bit$/, "$1 bit").replace(/^rung(\d+)$/, "rung $1");
  return of ? `${MEASURES[measure].title}, ${formatName(of)}` : MEASURES[measure].title;
}
