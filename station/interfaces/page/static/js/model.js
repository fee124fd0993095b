// The device model as a searchable table.

import { get } from "./api.js";
import { find, make, setText } from "./dom.js";
import { t } from "./words.js";

const MOST_SHOWN = 100;
let rows = [];

export async function openModel() {
  rows = (await get("/api/variables")).map((row) => ({ ...row, name: variableName(row) }));
  draw();
}

find("#model-filter").addEventListener("input", draw);

/** A variable by its component, with EVSE and connector, and its instances. */
export function variableName(row) {
  const place = row.evse === null ? "" : `[${row.evse}${row.connector === null ? "" : `.${row.connector}`}]`;
  const component = row.component_instance === null ? row.component : `${row.component} ${row.component_instance}`;
  const variable = row.instance === null ? row.variable : `${row.variable} ${row.instance}`;
  return `${component}${place}.${variable}${row.attribute === "Actual" ? "" : ` (${row.attribute})`}`;
}

function draw() {
  const words = find("#model-filter").value.toLowerCase().split(/\s+/);
  const found = rows.filter((row) => {
    const text = `${row.name} ${row.value ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  setText(find("#model-count"), t("model.count", { shown: Math.min(found.length, MOST_SHOWN), count: found.length }));
  find("#model-rows").replaceChildren(
    ...found.slice(0, MOST_SHOWN).map((row) =>
      make("tr", {}, make("td", { class: "mono" }, row.name), make("td", { class: "mono" }, row.value ?? "–"), make("td", {}, row.mutability)),
    ),
  );
}
