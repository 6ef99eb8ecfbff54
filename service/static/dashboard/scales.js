// Axes: from numbers to places, and the round numbers to write beside them. Pure functions.

/** Maps [low, high] to [from, to]. An empty range maps to the middle. */
export function scaleLinear(low, high, from, to) {
  return (value) => (high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from));
}

export function scaleLog(low, high, from, to) {
  const linear = scaleLinear(Math.log(low), Math.log(high), from, to);
  return (value) => linear(Math.log(value));
}

/** About `count` round numbers (1, 2 or 5 times a power of ten) that hold the range between them. */
export function pickTicks(low, high, count) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  // Multiplied and not added up: 0.1 + 0.2 is no tick.
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** Whole numbers for an axis of epochs. */
export function pickWholeTicks(low, high, count) {
  const ticks = pickTicks(low, high, count).filter((tick) => Number.isInteger(tick) && tick >= low && tick <= high);
  return ticks.length > 0 ? ticks : [low];
}

/** 1, 2 and 5 times powers of ten within the range; fewer where it is wide, or room is scarce. */
export function pickLogTicks(low, high, isScarce) {
  const ticks = [];
  const decades = Math.log10(high / low) * (isScarce ? 2 : 1);
  const factors = decades > 3.5 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    ticks.push(...factors.map((factor) => Number((factor * 10 ** power).toPrecision(6))));
  }
  return ticks.filter((tick) => tick >= low * 0.9999 && tick <= high * 1.0001);
}
