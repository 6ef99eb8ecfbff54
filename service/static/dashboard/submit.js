// A form for each kind of job, drawn from its JSON Schema: what the service learns to take, the form learns too.

import { Problem, getJson, getKey, post } from "./api.js";
import { facts, h, notify } from "./dom.js";
import { formatName, formatPercent, formatValue, shortenId } from "./format.js";
import { buildField, readProperty } from "./fields.js";
import { Sending, readFields, showTrouble } from "./form.js";

/** Fields that every kind has, and that nobody has to fill in. */
const COMMON = ["labels", "seed", "max_attempts", "max_runtime_s"];
const HIDDEN = ["kind"];
const FIRST = ["model_id", "dataset", "architecture", "name"];

export const title = () => "New job";

export async function show(main, { id, query, signal, go }) {
  const [methods, datasets] = await Promise.all([getJson("/v1/methods", signal), getJson("/v1/datasets", signal)]);
  const kind = methods.job_kinds.find(({ name }) => name === (id ?? "train"));
  main.append(h("div", { class: "title" }, h("h1", { tabindex: -1 }, "New job")), buildTabs(methods.job_kinds, kind));
  if (kind === undefined) {
    main.append(h("p", { class: "problem" }, "There is no such kind of job."));
    return;
  }
  const needsModel = "model_id" in kind.json_schema.properties;
  const takesIntegers = kind.name === "export";
  const models = needsModel ? await listModels(query.get("model_id"), takesIntegers, signal) : [];
  const own = datasets.own.map(({ id, name, summary }) => ({
    name: id,
    title: `${name} (yours)`,
    description: `${summary.class_names.length} classes, ${summary.input_shape.join(" x ")}`,
  }));
  const choices = { ...methods.choices, dataset: [...datasets.datasets, ...own] };
  main.append(buildForm(kind, choices, models, query, go));
}

function buildTabs(kinds, chosen) {
  const links = kinds.map(({ name }) =>
    h("a", { href: `#/new/${name}`, "aria-current": name === chosen?.name ? "page" : null }, name),
  );
  return h("nav", { class: "tabs", "aria-label": "Kinds of job" }, links);
}

async function listModels(wanted, takesIntegers, signal) {
  const { models } = await getJson("/v1/models?page_size=100", signal);
  const canStart = (model) => takesIntegers || ("checkpoint" in model.files && model.not_measured === null);
  const named = models.filter((model) => canStart(model) || model.id === wanted);
  const shown = named.map((model) => ({ id: model.id, text: describeModel(model) }));
  return wanted && !named.some((model) => model.id === wanted) ? [...shown, { id: wanted, text: wanted }] : shown;
}

function describeModel({ name, architecture, dataset, evaluation, id }) {
  const accuracy = formatPercent(evaluation?.test?.accuracy);
  return `${name} – ${architecture}, ${dataset ?? "no data set"}, ${accuracy} test, ${shortenId(id)}`;
}

function buildForm(kind, choices, models, query, go) {
  const schema = kind.json_schema;
  const names = Object.keys(schema.properties).filter((name) => !HIDDEN.includes(name));
  const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  const fields = names
    .sort((a, b) => rank(a) - rank(b))
    .map((name) => buildField(readProperty(schema, name), choices, models));
  const main = fields.filter(({ name }) => !COMMON.includes(name));
  const common = fields.filter(({ name }) => COMMON.includes(name));

  const trouble = h("div", { role: "alert", tabindex: -1 });
  const checked = h("div", { "aria-live": "polite" });
  const command = h("pre", { tabindex: 0 });
  const more = h(
    "details",
    {},
    h("summary", {}, "Labels, seed and limits"),
    h(
      "div",
      { class: "fields" },
      common.map(({ node }) => node),
    ),
  );
  const form = h(
    "form",
    { class: "panel", novalidate: true },
    h("p", {}, kind.description),
    h(
      "p",
      {},
      h("button", { type: "button", class: "quiet-button", on: { click: () => fillIn() } }, "Fill in the example"),
    ),
    trouble,
    h(
      "div",
      { class: "fields" },
      main.map(({ node }) => node),
    ),
    more,
    h(
      "div",
      { class: "actions" },
      h("button", { type: "submit", class: "primary" }, `Submit the ${kind.name} job`),
      h("button", { type: "button", on: { click: (event) => send(event.currentTarget, true) } }, "Only check it"),
    ),
    checked,
    h("details", {}, h("summary", {}, "The same from a shell"), command),
  );
  const sending = new Sending();
  const reveal = (wrong) => {
    if (wrong.some(({ name }) => COMMON.includes(name))) more.open = true;
  };

  const fillIn = () => {
    for (const field of fields) if (field.name in kind.example) field.write(kind.example[field.name]);
    showCommand();
  };
  const showCommand = () => {
    const { values: body, unreadable } = readFields(fields);
    command.textContent = unreadable.length > 0 ? "Some fields cannot be read yet." : buildCommand(kind.name, body);
  };
  const send = async (button, onlyCheck) => {
    const { values: body, unreadable } = readFields(fields);
    trouble.replaceChildren();
    checked.replaceChildren();
    if (unreadable.length > 0) {
      showTrouble(trouble, fields, "Nothing was sent.", unreadable, reveal);
      return;
    }
    button.disabled = true;
    try {
      const path = `/v1/jobs/${kind.name}`;
      if (onlyCheck) {
        const answer = await post(`${path}?validate_only=true`, body);
        checked.replaceChildren(buildChecked(answer.resolved_spec));
      } else {
        const job = await post(path, body, { headers: { "Idempotency-Key": sending.keyFor(JSON.stringify(body)) } });
        sending.forget();
        notify(`The ${kind.name} job is queued.`);
        go(`jobs/${job.id}`);
      }
    } catch (error) {
      if (error instanceof Problem) showTrouble(trouble, fields, error.message, error.errors, reveal);
      else showTrouble(trouble, fields, "The service did not answer. To submit again starts no second job.");
    }
    button.disabled = false;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form.querySelector("[type=submit]"), false);
  });
  form.addEventListener("input", showCommand);
  for (const start of ["model_id", "initial_model_id"])
    if (query.get(start)) fields.find(({ name }) => name === start)?.write(query.get(start));
  if (query.get("example")) fillIn();
  showCommand();
  return form;
}

function buildChecked(spec) {
  const pairs = Object.entries(spec).filter(([name]) => name !== "kind");
  return h(
    "div",
    { class: "fine" },
    h("p", {}, "It can be submitted. This is what would run:"),
    facts(
      pairs.map(([name, value]) => [formatName(name), formatValue(value)]),
      "facts spec",
    ),
  );
}

function buildCommand(kind, body) {
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  const access = getKey() === null ? "" : ` \\\n  -H "Authorization: Bearer $key"`;
  return `curl -fsS ${location.origin}/v1/jobs/${kind}${access} \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'`;
}
