// Elements and their text. Nothing here reads text as HTML, and the page's policy forbids the browser to: what users
// write (names, labels, errors) can only ever be shown.

const SVG = "http://www.w3.org/2000/svg";

function addProperties(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
}

function addChildren(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

/** An HTML element. Properties are attributes, `on` its listeners; children that are no nodes become text. */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  const result = addChildren(node, children);
  addProperties(node, properties); // after the children: a select takes its value from them
  return result;
}

/** The same for SVG. */
export function s(tag, properties = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  addProperties(node, properties);
  return addChildren(node, children);
}

/** Sets the text only where it is another: what did not change is not read out again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A list of names and values; those without a value are left out. */
export function facts(pairs, className = "facts") {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "");
  return h(
    "dl",
    { class: className },
    shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** A table whose cells know the name of their column: on a narrow page each row is a card. */
export function table(caption, columns, rows, className = "") {
  const head = h(
    "tr",
    {},
    columns.map(({ name, numeric }) => h("th", { scope: "col", class: numeric && "number" }, name)),
  );
  const body = rows.map((cells) =>
    h(
      "tr",
      {},
      cells.map((cell, index) => buildCell(columns[index], cell, index === 0)),
    ),
  );
  return h(
    "table",
    { class: `cards ${className}` },
    h("caption", { class: "hidden" }, caption),
    h("thead", {}, head),
    h("tbody", {}, body),
  );
}

function buildCell({ name, numeric }, content, isFirst) {
  const properties = { "data-column": name, class: numeric && "number" };
  return isFirst ? h("th", { ...properties, scope: "row" }, content) : h("td", properties, h("div", {}, content));
}

const announcer = () => document.getElementById("announcer");

/** Tells it to screen readers, when they have a moment. */
export function announce(text) {
  setText(announcer(), text);
}

/** A line at the page's foot for a few seconds, read out too. */
export function notify(text) {
  const note = h("p", { class: "note" }, text);
  document.getElementById("notes").append(note);
  setTimeout(() => note.remove(), 6000);
}

/** Asks before something that cannot be taken back. Resolves to whether it was confirmed. */
export function confirmAction(title, text, verb) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" },
      h("h2", { id: "dialog-title" }, title),
      h("p", { id: "dialog-text" }, text),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", autofocus: true, on: { click: () => dialog.close() } }, "Keep it"),
        h("button", { type: "button", class: "danger", on: { click: () => dialog.close("yes") } }, verb),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
