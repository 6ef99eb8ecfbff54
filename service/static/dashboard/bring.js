// A form for a model of one's own: its file, and what the file does not say.

import { Problem, getJson, request } from "./api.js";
import { h, notify } from "./dom.js";
import { buildField } from "./fields.js";
import { Sending, readFields, showTrouble } from "./form.js";

export const title = () => "Bring a model";

export async function show(main, { signal, go }) {
  const [methods, datasets] = await Promise.all([getJson("/v1/methods", signal), getJson("/v1/datasets", signal)]);
  const own = datasets.own.map(({ id, name }) => ({ name: id, title: `${name} (yours)` }));
  const choices = { ...methods.choices, dataset: [...datasets.datasets, ...own] };
  const networks = [...methods.choices.architecture, ...methods.torchvision_networks].map(({ name }) => name);
  main.append(
    h("div", { class: "title" }, h("h1", { tabindex: -1 }, "Bring a model")),
    buildForm(choices, networks, go),
  );
}

/** The parameters of POST /v1/models. */
const listFields = (networks) => [
  { name: "name", type: "string", description: "What people call it." },
  {
    name: "measure",
    type: "boolean",
    default: true,
    description: "Measure it on a data set. Without that it can be fine-tuned to one, and asked, and nothing else.",
  },
  {
    name: "dataset",
    type: "string",
    description: "What to measure it on; by default what it was trained on, or what has its classes.",
  },
  {
    name: "architecture",
    type: "string",
    enum: networks,
    description: "Of a plain state dict, which does not say it.",
  },
  {
    name: "class_names",
    type: "string",
    description: "Of an ONNX file or a state dict, in the order of its outputs, with commas between.",
  },
  {
    name: "mean",
    type: "string",
    description: "Of the same: a pixel p enters as (p / 255 - mean) / std. One number, or three with commas between.",
  },
  {
    name: "std",
    type: "string",
    description: "See mean. torchvision's own weights take 0.229,0.224,0.225 with the mean 0.485,0.456,0.406.",
  },
  {
    name: "input_size",
    type: "integer",
    minimum: 1,
    description: "Of a state dict that is not measured: side of the square pictures that it reads.",
  },
];

function buildForm(choices, networks, go) {
  const fields = listFields(networks).map((property) => buildField({ ...property, nullable: true }, choices, []));
  const file = h("input", { id: "field-file", type: "file", required: true, "aria-describedby": "field-file-hint" });
  const trouble = h("div", { role: "alert", tabindex: -1 });
  const button = h("button", { type: "submit", class: "primary" }, "Bring it");
  const form = h(
    "form",
    { class: "panel", novalidate: true },
    trouble,
    h(
      "div",
      { class: "fields" },
      h(
        "div",
        { class: "field" },
        h("label", { for: "field-file" }, "file", h("span", { class: "required" }, " required")),
        file,
        h("p", { id: "field-file-hint", class: "hint" }, "safetensors, .tonok or ONNX; never a pickle."),
      ),
      fields.map(({ node }) => node),
    ),
    h("div", { class: "actions" }, button),
  );
  const sending = new Sending();
  const send = async () => {
    trouble.replaceChildren();
    const [chosen] = file.files;
    const { values, unreadable } = readFields(fields);
    if (unreadable.length > 0) {
      showTrouble(trouble, fields, "Nothing was sent.", unreadable);
      return;
    }
    if (chosen === undefined) {
      showTrouble(trouble, fields, "Choose a file first.");
      return;
    }
    const query = new URLSearchParams(values);
    const key = sending.keyFor(`${query} ${chosen.name} ${chosen.size} ${chosen.lastModified}`);
    button.disabled = true;
    try {
      const headers = { "Content-Type": "application/octet-stream", "Idempotency-Key": key };
      const answer = await request(`/v1/models?${query}`, { method: "POST", headers, body: chosen });
      notify("The model is being read.");
      go(`jobs/${(await answer.json()).id}`);
    } catch (error) {
      if (error instanceof Problem) showTrouble(trouble, fields, error.message, error.errors);
      else showTrouble(trouble, fields, "The service did not answer. To send it again starts no second job.");
    }
    button.disabled = false;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  return form;
}
