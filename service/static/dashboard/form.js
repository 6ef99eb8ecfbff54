// What every form that is sent does: reads its fields, says what is wrong beside each, sends nothing twice.

import { makeIdempotencyKey } from "./api.js";
import { h } from "./dom.js";
import { Unreadable } from "./fields.js";

/** What the fields hold, by name, without those that are left empty; and an error for each that cannot be read. */
export function readFields(fields) {
  const values = {};
  const unreadable = [];
  for (const field of fields) {
    field.setError("");
    try {
      const value = field.read();
      if (value !== undefined) values[field.name] = value;
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      unreadable.push({ pointer: `/${field.name}`, detail: error.message });
    }
  }
  return { values, unreadable };
}

/** One Idempotency-Key for one text: what is sent twice, by two clicks or after a broken connection, starts one job. */
export class Sending {
  #text = null;
  #key = null;

  keyFor(text) {
    if (text !== this.#text) [this.#text, this.#key] = [text, makeIdempotencyKey()];
    return this.#key;
  }

  forget() {
    this.#text = null;
  }
}

/** Each error beside its field; what belongs to no field of the form, above. A pointer is "/name/…", or a parameter's
 * bare name. reveal: called with the fields that are wrong, before the first of them is focused.
 */
export function showTrouble(trouble, fields, detail, errors = [], reveal = () => {}) {
  const strangers = [];
  const wrong = [];
  for (const { pointer, detail: text } of errors) {
    const place = pointer.split("/").find(Boolean);
    const field = fields.find(({ name }) => name === place);
    if (field !== undefined) {
      field.setError(text);
      wrong.push(field);
    } else if (text !== detail) strangers.push(h("li", {}, place === undefined ? text : `${pointer}: ${text}`));
  }
  reveal(wrong);
  trouble.replaceChildren(
    h("div", { class: "problem" }, h("p", {}, detail), strangers.length > 0 && h("ul", {}, strangers)),
  );
  (fields.find((field) => wrong.includes(field)) ?? trouble).focus();
}
