// A model's numbers, each with the measure or the split that it belongs to.

import { h, table } from "./dom.js";
import { formatCount, formatKb, formatPercent, formatPoints, formatRatio } from "./format.js";

/** What the measures of the size ledger mean; others are shown by their name alone. */
const MEANING = {
  formula: "weights × bits alone",
  float32: "a plain checkpoint: what ratios are against",
  packed: "integers at their width, with scales, biases, masks or indices",
  entropy: "the order-0 bound of the same integers",
  file: "bytes on disk, header included",
};

const STORED = ["file", "packed", "float32"];

/** The entry that says best what the model takes to store: the measure that /v1/pareto uses too. */
function findStored(model) {
  const entries = model.size?.entries ?? [];
  return STORED.map((measure) => entries.find((entry) => entry.measure === measure)).find(Boolean) ?? null;
}

export function formatAccuracy(model, split) {
  return formatPercent(model.evaluation?.[split]?.accuracy);
}

/** "95 % interval 91.62–92.67 %, 9,216 of 10,000" */
export function describeAccuracy(model, split) {
  const measured = model.evaluation?.[split];
  if (!measured) return "not measured";
  const counted = `${formatCount(measured.num_correct)} of ${formatCount(measured.num_examples)}`;
  if (!measured.interval) return counted;
  const [low, high] = measured.interval.map((bound) => (bound * 100).toFixed(2));
  return `${counted}; 95 % interval ${low}–${high} %`;
}

export const formatDrop = (model, split) => formatPoints(model.accuracy_drop?.[split]);

/** What is wrong with a model that is not sound: /v1/models tells it by these names. */
const PROBLEMS = {
  one_class: "it gives nearly all answers to one class",
  chance: "it is not distinguishably better than always answering the most frequent class",
  dead_layer: "nothing passes one of its layers",
  not_finite: "it answers numbers that are not finite",
};

const describeProblems = (problems) => problems.map((problem) => PROBLEMS[problem] ?? problem).join("; ");

/** One line that cannot be overlooked, for a model or for the one that its drop is counted from. */
export function buildHealth(model) {
  const own = model.health?.problems ?? [];
  const before = model.accuracy_drop?.baseline_problems ?? [];
  return [
    model.not_measured &&
      "Measured on no data set: how often it is right is not known. Fine-tune it to one before it is compressed.",
    own.length > 0 && `Not sound: ${describeProblems(own)}. Its size and its drop say nothing good of it.`,
    before.length > 0 && `The model that its drop is counted from is not sound: ${describeProblems(before)}.`,
  ]
    .filter(Boolean)
    .map((text) => h("p", { class: "warning" }, text));
}

/** "0.40 on validation; 95 % interval on test 0.10–0.70" */
function describeDrop(model) {
  const interval = model.accuracy_drop_interval?.test;
  const validation = `${formatDrop(model, "validation")} on validation`;
  if (!interval) return validation;
  const how = interval.basis === "paired" ? "" : ", not paired";
  return `${validation}; 95 % interval ${interval.low.toFixed(2)} to ${interval.high.toFixed(2)}${how}`;
}

function describeLatency({ batch_size: batch, device, load }) {
  return `batch of ${batch}, ${device}${load?.is_busy ? "; the machine was busy: it may be less" : ""}`;
}

/** On a balanced test part it is the accuracy again, and is left out. */
function buildBalanced(model) {
  const balanced = model.evaluation?.test?.balanced_accuracy;
  if (typeof balanced !== "number" || formatPercent(balanced) === formatAccuracy(model, "test")) return null;
  return buildFigure(formatPercent(balanced), "Balanced accuracy, test", "mean of the classes: each counts the same");
}

function buildFigure(value, label, note) {
  return h(
    "div",
    { class: "figure" },
    h("dt", {}, label),
    h("dd", {}, h("b", {}, value), note && h("small", {}, note)),
  );
}

/** The numbers that one asks for first. */
export function buildFigures(model) {
  const stored = findStored(model);
  const latency = model.latency;
  return h(
    "dl",
    { class: "figures" },
    buildFigure(formatAccuracy(model, "test"), "Test accuracy", describeAccuracy(model, "test")),
    buildBalanced(model),
    buildFigure(formatAccuracy(model, "validation"), "Validation accuracy", describeAccuracy(model, "validation")),
    model.accuracy_drop &&
      buildFigure(formatDrop(model, "test"), "Accuracy drop, test", describeDrop(model)),
    stored &&
      buildFigure(formatKb(stored.bytes), `Size, ${stored.measure}`, `${formatRatio(stored.ratio)} against float32`),
    buildFigure(formatPercent(model.sparsity), "Sparsity", "weights that are zero"),
    model.macs && buildFigure(`${(model.macs / 1e6).toFixed(2)} M`, "MACs", "multiply-accumulates for a picture"),
    latency &&
      buildFigure(`${latency.median_ms.toFixed(2)} ms`, "Latency, median", describeLatency(latency)),
  );
}

/** What an exported file takes on a device, and whether it answers there what is answered here. */
export function buildExportFigures({ num_bytes: numBytes, run, device }) {
  const countIdentical = (measured) =>
    `${formatCount(measured.num_identical)} of ${formatCount(measured.num_examples)} pictures with the very numbers`;
  const where = device && `${device.core}, emulated`;
  return h(
    "dl",
    { class: "figures" },
    buildFigure(formatKb(numBytes), "File"),
    run && buildFigure(formatPercent(run.agreement), "Same class as here", countIdentical(run)),
    run && buildFigure(`${run.latency.median_ms.toFixed(2)} ms`, "Latency, median", run.runtime),
    device && buildFigure(formatKb(device.flash_bytes), "Flash", `code and constants; ${where}`),
    device && buildFigure(formatKb(device.ram_bytes), "RAM", `${formatCount(device.stack_bytes)} bytes of it stack`),
    device &&
      buildFigure(formatCount(device.instructions_per_picture), "Instructions per picture", countIdentical(device)),
  );
}

/** Every measure with its bytes: never one number. */
export function buildLedger(model) {
  const entries = model.size?.entries ?? [];
  if (entries.length === 0) return h("p", { class: "quiet" }, "Its size was not measured.");
  const largest = Math.max(...entries.map(({ bytes }) => bytes));
  const columns = [
    { name: "Measure" },
    { name: "What it counts" },
    { name: "Bytes", numeric: true },
    { name: "KB of 1024 bytes", numeric: true },
    { name: "float32 ÷ it", numeric: true },
    { name: "Share of the largest" },
  ];
  const rows = entries.map(({ measure, bytes, ratio }) => [
    measure,
    h("span", { class: "quiet" }, MEANING[measure] ?? "–"),
    `${formatCount(bytes)} bytes`,
    formatKb(bytes),
    formatRatio(ratio),
    h("meter", {
      min: 0,
      max: largest,
      value: bytes,
      "aria-label": `${measure}: ${formatPercent(bytes / largest, 1)} of the largest`,
    }),
  ]);
  return table("Size by every measure", columns, rows);
}

/** The stored size, and the other measures below it in small. */
export function buildSizes(model) {
  const entries = model.size?.entries ?? [];
  const stored = findStored(model);
  if (stored === null) return "–";
  const others = entries.filter((entry) => entry !== stored);
  return [
    h("b", {}, formatKb(stored.bytes)),
    ` ${stored.measure}, ${formatRatio(stored.ratio)}`,
    h("small", {}, others.map(({ measure, bytes }) => `${measure} ${formatKb(bytes)}`).join(" · ")),
  ];
}
