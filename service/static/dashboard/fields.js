// From a JSON Schema to fields of a form. What a field holds is read back as JSON; whether it is right, the service says.

import { h } from "./dom.js";
import { formatName } from "./format.js";

/** Raised by `read` where the text is no value of its type at all. */
export class Unreadable extends Error {}

/** One property of a schema, its references and its "or null" resolved. */
export function readProperty(schema, name) {
  const property = schema.properties[name];
  const follow = (part) =>
    part.$ref ? { ...schema.$defs[part.$ref.split("/").at(-1)], choices: toSnake(part.$ref.split("/").at(-1)) } : part;
  const ways = property.anyOf ?? [property];
  const way = follow(ways.find(({ type }) => type !== "null"));
  return {
    ...way,
    name,
    description: property.description ?? (property.$ref ? undefined : way.description),
    default: property.default,
    nullable: ways.some(({ type }) => type === "null"),
    required: (schema.required ?? []).includes(name),
  };
}

/** PruningMethod → pruning_method: the name of its choices in /v1/methods. */
const toSnake = (name) => name.replace(/(?!^)[A-Z]/g, "_$&").toLowerCase();

/** "1 to 500", from the schema's bounds. */
function describeBounds({ type, minimum, maximum, exclusiveMinimum, exclusiveMaximum, items }) {
  if (type === "array") return `${describeBounds(items)}, with commas between`;
  const low =
    minimum === undefined ? exclusiveMinimum !== undefined && `above ${exclusiveMinimum}` : `${minimum} or more`;
  const high =
    maximum === undefined ? exclusiveMaximum !== undefined && `below ${exclusiveMaximum}` : `at most ${maximum}`;
  if (minimum !== undefined && maximum !== undefined) return `${minimum} to ${maximum}`;
  return [low, high].filter(Boolean).join(", ");
}

const showDefault = (property) => {
  if (property.default === null || property.default === undefined) return "";
  return Array.isArray(property.default) ? property.default.join(", ") : String(property.default);
};

const readers = {
  integer: (text) => readNumber(text, "a whole number"),
  number: (text) => readNumber(text, "a number"),
  string: (text) => text,
  array: (text) =>
    text
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean)
      .map((part) => readNumber(part, "numbers with commas between")),
  object: readPairs,
};

function readNumber(text, wanted) {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new Unreadable(`This is not ${wanted}.`);
  return value;
}

function readPairs(text) {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw new Unreadable("Write key=value, one on a line.");
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

function buildControl(property, id, choices, models) {
  const shared = { id, name: property.name, "aria-describedby": `${id}-hint ${id}-error`, required: property.required };
  if (property.name === "model_id") return buildModelSelect(shared, models);
  if (property.enum) {
    const options = property.enum.map((value) =>
      h("option", { value, selected: value === property.default }, formatName(value)),
    );
    const automatic = property.nullable ? [h("option", { value: "" }, "automatic")] : [];
    return h("select", shared, ...automatic, options);
  }
  if (property.name === "dataset") {
    const options = choices.dataset.map(({ name, title }) =>
      h("option", { value: name, selected: name === property.default }, title ?? formatName(name)),
    );
    const automatic = property.nullable ? [h("option", { value: "" }, "automatic")] : [];
    return h("select", shared, ...automatic, options);
  }
  if (property.type === "boolean")
    return h("input", { ...shared, type: "checkbox", checked: property.default === true });
  const text = {
    ...shared,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: property.nullable && property.type !== "string" ? "automatic" : undefined,
  };
  if (property.type === "object") return h("textarea", { ...text, rows: 2, placeholder: "key=value" });
  const mode = { integer: "numeric", number: "decimal" }[property.type];
  return h("input", { ...text, type: "text", inputmode: mode, value: showDefault(property) });
}

function buildModelSelect(shared, models) {
  const options = models.map(({ id, text }) => h("option", { value: id }, text));
  return h("select", shared, h("option", { value: "latest" }, "latest – the newest that a train job made"), options);
}

/** A labelled field: {node, name, read, write, setError, focus}. `read` gives undefined where the default is meant. */
export function buildField(property, choices, models) {
  const id = `field-${property.name}`;
  const control = buildControl(property, id, choices, models);
  const error = h("p", { id: `${id}-error`, class: "field-error" });
  const hint = h("p", { id: `${id}-hint`, class: "hint" });
  const describeChoice = () => {
    const choice = choices[property.choices ?? property.name]?.find(({ name }) => name === control.value);
    const isChosen = property.enum || property.name === "dataset";
    const words = [choice?.description ?? property.description, isChosen ? "" : describeBounds(property)];
    const text = words
      .filter(Boolean)
      .map((word) => (/[.!?]$/.test(word) ? word : `${word}.`))
      .join(" ");
    hint.replaceChildren(...text.split("`").map((part, index) => (index % 2 === 0 ? part : h("code", {}, part))));
  };
  describeChoice();
  control.addEventListener("change", describeChoice);
  const label = h(
    "label",
    { for: id },
    formatName(property.name),
    property.required && h("span", { class: "required" }, " required"),
  );
  const isCheck = property.type === "boolean";
  const node = h(
    "div",
    { class: isCheck ? "field check" : "field" },
    isCheck ? [control, label] : [label, control],
    hint,
    error,
  );

  const read = () => {
    if (isCheck) return control.checked === property.default ? undefined : control.checked;
    const text = control.value;
    if (text === showDefault(property) && !property.required) return undefined;
    if (text.trim() === "" && (property.nullable || property.type === "object")) return undefined;
    return property.enum || property.name === "model_id" ? text : readers[property.type](text);
  };
  const write = (value) => {
    if (isCheck) control.checked = value;
    else if (property.type === "object")
      control.value = Object.entries(value)
        .map((pair) => pair.join("="))
        .join("\n");
    else control.value = Array.isArray(value) ? value.join(", ") : value;
    describeChoice();
  };
  const setError = (text) => {
    error.textContent = text;
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  };
  return { node, name: property.name, read, write, setError, focus: () => control.focus() };
}
