// Which page is shown: the hash says it, so that every page has an address that can be kept and sent.

import { Problem } from "./api.js";
import { h } from "./dom.js";
import { installKeyPanel } from "./key.js";
import { watchSystem } from "./system.js";
import * as bring from "./bring.js";
import * as job from "./job.js";
import * as jobs from "./jobs.js";
import * as model from "./model.js";
import * as models from "./models.js";
import * as submit from "./submit.js";

const main = document.getElementById("main");
const systemLine = document.getElementById("system");
let leaving = new AbortController();
let watching = new AbortController();

/** `#/jobs/job_01…?status=failed` → {section, id, query} */
function readAddress() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [section, id] = path.split("/").map(decodeSafely);
  return { section: section || "jobs", id: id || null, query: new URLSearchParams(search) };
}

function decodeSafely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is no id of anything, and the service will say so
  }
}

function findView({ section, id }) {
  if (section === "jobs") return id === null ? jobs : job;
  if (section === "models") return id === null ? models : model;
  if (section === "bring") return bring;
  return section === "new" ? submit : null;
}

function go(path, query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  location.hash = `#/${path}${search.size > 0 ? `?${search}` : ""}`;
}

async function showPage(isFirst) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const address = readAddress();
  const view = findView(address);
  const page = h("div", { class: "page", "aria-busy": "true" });
  main.replaceChildren(page);
  document.title = `${view?.title(address.id) ?? "Nothing here"} · Tonok`;
  for (const link of document.querySelectorAll("#sections a")) {
    const isHere = link.getAttribute("href") === `#/${address.section}`;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!isFirst) scrollTo(0, 0);
  const showing =
    view === null ? Promise.reject(new Error("There is no such page.")) : view.show(page, { ...address, signal, go });
  if (!isFirst) focusHeading(page, signal);
  try {
    await showing;
  } catch (error) {
    if (!signal.aborted) page.append(buildFailure(error));
  } finally {
    page.removeAttribute("aria-busy");
  }
}

/** After a change of page a keyboard goes on at its heading, once that is there; unless it has gone on by itself. */
function focusHeading(page, signal) {
  const focus = () => {
    const heading = page.querySelector("h1");
    if (heading !== null && (document.activeElement === document.body || document.activeElement?.tagName === "A"))
      heading.focus({ preventScroll: true });
    return heading !== null;
  };
  if (focus()) return;
  const observer = new MutationObserver(() => focus() && observer.disconnect());
  observer.observe(page, { childList: true, subtree: true });
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });
}

function buildFailure(error) {
  const isProblem = error instanceof Problem;
  const detail = isProblem
    ? error.message
    : error instanceof TypeError
      ? "The service does not answer."
      : error.message;
  return h(
    "div",
    { class: "problem", role: "alert" },
    h(
      "h1",
      { tabindex: -1 },
      isProblem && error.status === 404
        ? "Not found"
        : isProblem && error.status === 401
          ? "A key is needed"
          : "This did not work",
    ),
    h("p", {}, detail),
    isProblem && error.requestId && h("p", { class: "quiet" }, "Request ", h("code", {}, error.requestId)),
    h("p", {}, h("a", { href: "#/jobs" }, "All jobs")),
  );
}

function start(isFirst) {
  watching.abort();
  watching = new AbortController();
  watchSystem(systemLine, watching.signal);
  showPage(isFirst);
}

addEventListener("hashchange", () => showPage(false));
installKeyPanel(document.getElementById("key-place"), document.getElementById("key-opener"), () => start(false));
start(true);
