// The device model as a searchable table.

import { get } from "./api.js";
import { find, make, setText } from "./dom.js";
import { t } from "./words.js";

const MAX_ROWS = 100;
let rows = [];

export async function openModel() {
  rows = (await get("/api/variables")).map((row) => ({ ...row, name: variableName(row) }));
  draw();
}

find("#model-filter").addEventListener("input", draw);

/** A variable by its component, with EVSE and connector, and its instances. */
export function variableName(row) {
  const evseSuffix = row.evse === null ? "" : `[${row.evse}${row.connector === null ? "" : `.${row.connector}`}]`;
  const component = row.component_instance === null ? row.component : `${row.component} ${row.component_instance}`;
  const variable = row.instance === null ? row.variable : `${row.variable} ${row.instance}`;
  return `${component}${evseSuffix}.${variable}${row.attribute === "Actual" ? "" : ` (${row.attribute})`}`;
}

function draw() {
  const words = find("#model-filter").value.toLowerCase().split(/\s+/);
  const matches = rows.filter((row) => {
    const text = `${row.name} ${row.value ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  setText(find("#model-count"), t("model.count", { shown: Math.min(matches.length, MAX_ROWS), count: matches.length }));
  find("#model-rows").replaceChildren(
    ...matches.slice(0, MAX_ROWS).map((row) =>
      make("tr", {}, make("td", { class: "mono" }, row.name), make("td", { class: "mono" }, row.value ?? "–"), make("td", {}, row.mutability)),
    ),
  );
}
