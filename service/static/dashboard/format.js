// Numbers for people: each with its unit. 1 KB is 1024 bytes, as everywhere in Tonok.

const NONE = "–";
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const isKnown = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** 1650.047 KB → "1,650.0 KB". */
export function formatKb(bytes) {
  if (!isKnown(bytes)) return NONE;
  const kb = bytes / 1024;
  return `${kb.toLocaleString("en", { minimumFractionDigits: kb < 100 ? 2 : 1, maximumFractionDigits: kb < 100 ? 2 : 1 })} KB`;
}

/** In the unit that suits it: for disks and downloads. */
export function formatBytes(bytes) {
  if (!isKnown(bytes)) return NONE;
  if (bytes < 1024) return `${plain.format(bytes)} bytes`;
  const units = ["KB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log(bytes) / Math.log(1024)), units.length);
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1]}`;
}

/** A fraction 0–1 → "93.17 %". */
export const formatPercent = (fraction, digits = 2) =>
  isKnown(fraction) ? `${(fraction * 100).toFixed(digits)} %` : NONE;

/** Percentage points → "1.01 points". */
export const formatPoints = (points) => (isKnown(points) ? `${points.toFixed(2)} points` : NONE);

export const formatRatio = (ratio) => (isKnown(ratio) ? `${ratio.toFixed(ratio < 10 ? 2 : 1)}×` : NONE);

export const formatCount = (count) => (isKnown(count) ? plain.format(count) : NONE);

/** 4241152 → "4.24 M MACs". */
export const formatMacs = (macs) => (isKnown(macs) ? `${(macs / 1e6).toFixed(2)} M MACs` : NONE);

/** Seconds → "2 min 5 s". */
export function formatDuration(seconds) {
  if (!isKnown(seconds)) return NONE;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** RFC 3339 → "14:03:09 today" or the day. */
export function formatTime(moment) {
  if (!moment) return NONE;
  const date = new Date(moment);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString("en-GB");
  return isToday ? `today ${time}` : `${date.toLocaleDateString("en-CA")} ${time}`;
}

/** How long a job has run, or ran. */
export function formatRuntime(job) {
  if (!job.started_at) return NONE;
  const end = job.finished_at ? new Date(job.finished_at) : new Date();
  return formatDuration(Math.max(0, (end - new Date(job.started_at)) / 1000));
}

/** "epoch 2 of 5, step 420 of 1,000, about 5 min 10 s left" */
export function formatProgress(progress, isRunning) {
  const parts = [];
  if (isKnown(progress.epoch))
    parts.push(`epoch ${formatCount(progress.epoch)} of ${formatCount(progress.total_epochs)}`);
  if (isKnown(progress.step)) parts.push(`step ${formatCount(progress.step)} of ${formatCount(progress.total_steps)}`);
  if (isRunning && isKnown(progress.eta_s)) parts.push(`about ${formatDuration(Math.ceil(progress.eta_s))} left`);
  return parts.join(", ");
}

/** "mdl_01M8…MZPTG": an id that can be told from its neighbours, which share its first half. */
export const shortenId = (id) => (id.length > 16 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id);

/** "fine_tuning" → "fine tuning" */
export const formatName = (name) => String(name).replaceAll("_", " ");

/** A value of a spec, as JSON writes it; text without its quotes. */
export const formatValue = (value) => (typeof value === "string" ? value : JSON.stringify(value));
