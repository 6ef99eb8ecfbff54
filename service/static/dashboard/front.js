// The plane of bytes and accuracy: each model a point, the front a line. Bytes grow by factors, so that axis is a log one.

import { h, s, setText } from "./dom.js";
import { formatKb, formatPercent } from "./format.js";
import { pickLogTicks, pickTicks, scaleLinear, scaleLog } from "./scales.js";
import { modelAddress } from "./status.js";

/** Drawn for the room there is: letters of a wide picture would be too small on a narrow page. */
const WIDE = { width: 920, height: 380, numTicks: 6 };
const NARROW = { width: 350, height: 330, numTicks: 4 };

export const narrowPage = matchMedia("(max-width: 40rem)");

const describe = ({ name, accuracy, bytes, measure, problems, on_front: isOnFront }, split) => {
  const place = isOnFront ? ", on the front" : problems.length > 0 ? `, not sound (${problems.join(", ")})` : "";
  return `${name}: ${formatPercent(accuracy)} on ${split}, ${formatKb(bytes)} ${measure}${place}`;
};

/** points: those of one group, smallest first, as /v1/pareto answers them. */
export function buildFront(points, split) {
  const { width, height, numTicks } = narrowPage.matches ? NARROW : WIDE;
  const plot = { left: 46, right: width - 14, top: 14, bottom: height - 46 };
  const hint = "Each mark is a model. Point at one, or walk along the front with Tab.";
  const reading = h("p", { class: "reading", "aria-hidden": "true" }, hint);
  const sizes = points.map(({ kb }) => Math.max(kb, 0.01));
  const accuracies = points.map(({ accuracy }) => accuracy * 100);
  const [low, high] = [Math.min(...sizes) / 1.3, Math.max(...sizes) * 1.3];
  const ticks = pickTicks(Math.min(...accuracies), Math.max(...accuracies), numTicks);
  const toX = scaleLog(low, high, plot.left, plot.right);
  const toY = scaleLinear(ticks[0], ticks.at(-1), plot.bottom, plot.top);
  const place = ({ kb, accuracy }) => [toX(Math.max(kb, 0.01)), toY(accuracy * 100)];
  const front = points.filter((point) => point.on_front);

  const buildMark = (point) => {
    const [x, y] = place(point);
    const text = describe(point, split);
    const read = () => setText(reading, text);
    const shape = point.on_front
      ? s("path", { class: "mark front", d: `M${x} ${y - 7}L${x + 7} ${y}L${x} ${y + 7}L${x - 7} ${y}Z` })
      : s("circle", { class: point.problems.length > 0 ? "mark sick" : "mark", cx: x, cy: y, r: 5 });
    return s(
      "a",
      {
        href: modelAddress(point.model_id),
        "aria-label": text,
        tabindex: point.on_front ? 0 : -1, // the table has them all; the front is what one walks along
        on: {
          pointerenter: read,
          focus: read,
          pointerleave: () => setText(reading, hint),
          blur: () => setText(reading, hint),
        },
      },
      s("circle", { class: "target", cx: x, cy: y, r: 14 }),
      shape,
    );
  };
  const picture = s(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      class: "chart plane",
      role: "group",
      "aria-label": `${points.length} models by bytes and accuracy; ${front.length} on the front`,
    },
    ticks.map((tick) => [
      s("line", { class: "grid", x1: plot.left, x2: plot.right, y1: toY(tick), y2: toY(tick) }),
      s("text", { class: "tick end", x: plot.left - 8, y: toY(tick) + 4 }, String(tick)),
    ]),
    pickLogTicks(low, high, narrowPage.matches).map((tick) => [
      s("line", { class: "grid", x1: toX(tick), x2: toX(tick), y1: plot.top, y2: plot.bottom }),
      s("text", { class: "tick middle", x: toX(tick), y: plot.bottom + 17 }, tick.toLocaleString("en")),
    ]),
    s(
      "text",
      { class: "axis middle", x: (plot.left + plot.right) / 2, y: height - 6 },
      "stored size, KB of 1024 bytes, log scale",
    ),
    s(
      "text",
      { class: "axis middle", transform: `translate(12 ${(plot.top + plot.bottom) / 2}) rotate(-90)` },
      `${split} accuracy, %`,
    ),
    s("path", { class: "front-line", d: drawSteps(front.map(place)) }),
    points.filter((point) => !point.on_front).map(buildMark),
    front.map(buildMark),
  );
  const key = h(
    "p",
    { class: "legend" },
    h(
      "span",
      {},
      h("b", { class: "front-key", "aria-hidden": "true" }, "◆ "),
      "on the front: no other model is as small and as accurate",
    ),
    h("span", {}, h("b", { class: "mark-key", "aria-hidden": "true" }, "● "), "another model"),
    points.some(({ problems }) => problems.length > 0) &&
      h("span", {}, h("b", { class: "sick-key", "aria-hidden": "true" }, "○ "), "not sound, on no front"),
  );
  return h("div", {}, key, picture, reading);
}

/** What the bytes of a place on the x axis buy at best: it rises at each point of the front, not between two. */
function drawSteps(places) {
  return places.map(([x, y], index) => (index === 0 ? `M${x} ${y}` : `H${x}V${y}`)).join("");
}
