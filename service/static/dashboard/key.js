// The field for an API key. It stays in sessionStorage, so that it ends with the tab.

import { getKey, setKey } from "./api.js";
import { h } from "./dom.js";

/** Shows the panel in `place`, and calls `onChange` once a key is set or forgotten. */
export function installKeyPanel(place, opener, onChange) {
  const input = h("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "tonok_…",
    "aria-describedby": "key-hint key-error",
  });
  const error = h("p", { id: "key-error", class: "field-error", role: "alert" });
  const forget = h("button", { type: "button", on: { click: () => change(null) } }, "Forget the key");
  const close = h("button", { type: "button", on: { click: () => toggle(false) } }, "Close");
  const form = h(
    "form",
    { class: "panel key-panel", "aria-label": "Access" },
    h("label", { for: "key" }, "API key"),
    input,
    h(
      "p",
      { id: "key-hint", class: "hint" },
      "Made by “python -m service.keys create”. It is kept in this tab only and sent to this service only.",
    ),
    error,
    h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Use this key"), forget, close),
  );
  place.append(form);

  const toggle = (isOpen) => {
    place.hidden = !isOpen;
    forget.hidden = getKey() === null;
    opener.setAttribute("aria-expanded", String(isOpen));
    opener.textContent = getKey() === null ? "API key" : "API key ✓";
    if (isOpen) input.focus();
  };
  const change = (key) => {
    setKey(key);
    input.value = "";
    error.textContent = "";
    toggle(false);
    onChange();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (/^[!-~]+$/.test(key)) change(key);
    else error.textContent = key === "" ? "Enter a key first." : "A key has letters, digits and signs of ASCII only.";
  });
  opener.addEventListener("click", () => toggle(place.hidden));
  addEventListener("tonok:unauthorized", ({ detail: problem }) => {
    if (place.hidden) toggle(true);
    error.textContent = getKey() === null ? "This service asks for a key." : problem.message;
  });
  toggle(false);
}
