// One live chart of a few series that share an axis. Numbers are beside the lines, and in a table below.

import { h, s, setText, table } from "./dom.js";
import { formatCount, formatKb, formatName, formatPercent, formatPoints } from "./format.js";
import { pickTicks, pickWholeTicks, scaleLinear } from "./scales.js";

const WIDTH = 420;
const HEIGHT = 230;
const PLOT = { left: 56, right: WIDTH - 14, top: 12, bottom: HEIGHT - 38 };

/** How values of a measure are written, and what its axis says. */
export const MEASURES = {
  accuracy: { title: "Accuracy", axis: "%", show: (value) => formatPercent(value), tick: (value) => trim(value * 100) },
  loss: { title: "Loss", axis: "cross-entropy, nats", show: (value) => `${value.toFixed(4)} nats`, tick: trim },
  drop: { title: "Accuracy drop", axis: "points", show: formatPoints, tick: trim },
  bytes: { title: "File size", axis: "KB of 1024 bytes", show: formatKb, tick: (value) => trim(value / 1024) },
  other: { title: "Value", axis: "", show: (value) => String(Number(value.toPrecision(5))), tick: trim },
};

function trim(value) {
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 4 });
}

/** What the x of a series counts; sparsity is written in percent. */
export const STEPS = {
  epoch: { name: "epoch", show: (x) => `epoch ${formatCount(x)}`, tick: formatCount, ticks: pickWholeTicks },
  candidate: {
    name: "candidate",
    show: (x) => `candidate ${formatCount(x)}`,
    tick: formatCount,
    ticks: pickWholeTicks,
  },
  sparsity: {
    name: "sparsity, %",
    show: (x) => `sparsity ${formatPercent(x)}`,
    tick: (x) => trim(x * 100),
    ticks: (low, high, count) => pickTicks(low, high, count).filter((tick) => tick >= low && tick <= high),
  },
};

/** `update(series)` takes [{name, points: [{x, y}]}]; a y of null is a gap. Returns {node, update}. */
export function buildCurve(title, measure, step) {
  const picture = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "chart" });
  const legend = h("p", { class: "legend" });
  const reading = h("p", { class: "reading", "aria-hidden": "true" }, "\u00a0");
  const numbers = h("details", { class: "numbers" }, h("summary", {}, "As a table"));
  const node = h("figure", { class: "curve" }, h("figcaption", {}, title), legend, picture, reading, numbers);
  let shown = [];
  let place = null;

  const fillNumbers = () =>
    numbers.open && numbers.replaceChildren(numbers.firstChild, buildNumbers(title, shown, measure, step));
  numbers.addEventListener("toggle", fillNumbers);
  picture.addEventListener("pointermove", (event) =>
    setText(reading, describeNearest(event, picture, place, shown, measure, step)),
  );
  picture.addEventListener("pointerleave", () => setText(reading, "\u00a0"));

  const update = (series) => {
    shown = series.filter(({ points }) => points.some(({ y }) => y !== null));
    if (shown.length === 0) return;
    place = draw(picture, shown, measure, step);
    picture.setAttribute("aria-label", `${title}: ${shown.map((one) => describe(one, measure, step)).join("; ")}`);
    legend.replaceChildren(...shown.map((one) => buildKey(one, measure)));
    fillNumbers();
  };
  return { node, update };
}

const findLast = ({ points }) => points.findLast(({ y }) => y !== null);

function describe(series, measure, step) {
  const last = findLast(series);
  return `${series.name} ${measure.show(last.y)} at ${step.show(last.x)}, ${formatCount(series.points.length)} points`;
}

function buildKey(series, measure) {
  const line = s(
    "svg",
    { class: `key ${styleOf(series.name)}`, viewBox: "0 0 22 8", "aria-hidden": "true" },
    s("path", { class: "line", d: "M1 4H21" }),
  );
  return h("span", {}, line, `${formatName(series.name)} `, h("b", {}, measure.show(findLast(series).y)));
}

/** Colour and dashes, so that the lines differ without colours too. */
function styleOf(name) {
  return name === "train" ? "line-b" : "line-a";
}

function draw(picture, shown, measure, step) {
  const points = shown.flatMap((one) => one.points).filter(({ y }) => y !== null);
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const [lowX, highX] = [Math.min(...xs), Math.max(...xs)];
  const ticks = pickTicks(Math.min(...ys), Math.max(...ys), 4);
  const toX = scaleLinear(lowX, highX, PLOT.left + 8, PLOT.right - 8);
  const toY = scaleLinear(ticks[0], ticks.at(-1), PLOT.bottom, PLOT.top);
  picture.replaceChildren(
    ...ticks.flatMap((tick) => buildRow(toY(tick), measure.tick(tick))),
    ...step
      .ticks(lowX, highX, 6)
      .map((tick) => s("text", { x: toX(tick), y: PLOT.bottom + 16, class: "tick middle" }, step.tick(tick))),
    s("text", { x: (PLOT.left + PLOT.right) / 2, y: HEIGHT - 4, class: "axis middle" }, step.name),
    measure.axis === ""
      ? ""
      : s(
          "text",
          { x: 0, y: 0, class: "axis middle", transform: `translate(11 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)` },
          measure.axis,
        ),
    ...shown.map((one) => drawSeries(one, toX, toY)),
  );
  return { toX, xs };
}

const buildRow = (y, label) => [
  s("line", { x1: PLOT.left, x2: PLOT.right, y1: y, y2: y, class: "grid" }),
  s("text", { x: PLOT.left - 7, y: y + 4, class: "tick end" }, label),
];

function drawSeries({ name, points }, toX, toY) {
  let path = "";
  let isGap = true;
  for (const { x, y } of points) {
    if (y !== null) path += `${isGap ? "M" : "L"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`;
    isGap = y === null;
  }
  // A dot for each point while there are few: one epoch alone is no line.
  const dots = points.length > 40 ? [] : points.filter(({ y }) => y !== null);
  return s(
    "g",
    { class: styleOf(name) },
    s("path", { class: "line", d: path }),
    dots.map(({ x, y }) => s("circle", { class: "dot", cx: toX(x), cy: toY(y), r: points.length > 15 ? 2 : 3 })),
  );
}

function describeNearest(event, picture, place, shown, measure, step) {
  if (place === null) return "\u00a0";
  const box = picture.getBoundingClientRect();
  const pointed = ((event.clientX - box.left) / box.width) * WIDTH;
  const nearest = place.xs.reduce((best, x) =>
    Math.abs(place.toX(x) - pointed) < Math.abs(place.toX(best) - pointed) ? x : best,
  );
  const values = shown
    .map(({ name, points }) => [name, points.findLast(({ x }) => x === nearest)?.y ?? null])
    .filter(([, y]) => y !== null);
  return `${step.show(nearest)}: ${values.map(([name, y]) => `${formatName(name)} ${measure.show(y)}`).join(", ")}`;
}

function buildNumbers(title, shown, measure, step) {
  const xs = [...new Set(shown.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const columns = [{ name: step.name }, ...shown.map(({ name }) => ({ name: formatName(name), numeric: true }))];
  const rows = xs.map((x) => [step.show(x), ...shown.map(({ points }) => showAt(points, x, measure))]);
  return table(title, columns, rows, "compact");
}

function showAt(points, x, measure) {
  const y = points.findLast((point) => point.x === x)?.y ?? null;
  return y === null ? "–" : measure.show(y);
}
