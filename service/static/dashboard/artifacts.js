// The files of a job or a model: pictures shown, everything else to be downloaded.

import { fetchBlobUrl, getKey } from "./api.js";
import { h, notify, table } from "./dom.js";
import { formatBytes } from "./format.js";

/** A link to a file. Where a key is needed the bytes are fetched with it: a plain link could not send it. */
export function buildDownload(path, name, label, signal) {
  const fetchAndSave = async (event) => {
    if (getKey() === null) return;
    event.preventDefault();
    try {
      const url = await fetchBlobUrl(path, signal);
      h("a", { href: url, download: name }).click();
    } catch (error) {
      notify(error.message);
    }
  };
  return h("a", { href: checkAddress(path), download: name, on: { click: fetchAndSave } }, label);
}

/** Only ever a path of the API. */
function checkAddress(path) {
  return path.startsWith("/v1/") ? path : "#/";
}

function buildPicture(artifact, signal) {
  const picture = h("img", { alt: `Plot: ${artifact.name}`, loading: "lazy", width: 640, height: 400 });
  if (getKey() === null) picture.src = checkAddress(artifact.url);
  else
    fetchBlobUrl(artifact.url, signal).then(
      (url) => (picture.src = url),
      () => {},
    );
  const label = `${artifact.name} (${formatBytes(artifact.num_bytes)})`;
  return h(
    "figure",
    { class: "plot" },
    picture,
    h("figcaption", {}, buildDownload(artifact.url, artifact.name, label, signal)),
  );
}

const isPicture = ({ kind, media_type: type }) => kind === "plot" && type.startsWith("image/");

const COLUMNS = [
  { name: "File" },
  { name: "For" },
  { name: "Type" },
  { name: "Size", numeric: true },
  { name: "SHA-256" },
];

/** All files of a job, as GET …/artifacts answers them. */
export function buildArtifacts(artifacts, signal) {
  const pictures = artifacts.filter(isPicture);
  const rows = artifacts
    .filter((artifact) => !isPicture(artifact))
    .map((artifact) => [
      buildDownload(artifact.url, artifact.name, artifact.name, signal),
      artifact.kind,
      artifact.media_type,
      formatBytes(artifact.num_bytes),
      h("code", { title: artifact.sha256 }, artifact.sha256.slice(0, 12)),
    ]);
  return [
    pictures.length > 0 &&
      h(
        "div",
        { class: "plots" },
        pictures.map((artifact) => buildPicture(artifact, signal)),
      ),
    rows.length > 0 && table("Files", COLUMNS, rows),
    artifacts.length === 0 && h("p", { class: "quiet" }, "No files yet: they appear when the job has ended."),
  ];
}
