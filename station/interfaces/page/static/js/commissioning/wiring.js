// The torque table, and the torque for the terminals of the chosen conductor.

import { get } from "../api.js";
import { find, make, setText } from "../dom.js";
import { decimal, withUnit } from "../format.js";
import { t } from "../words.js";

export async function setUpWiringStep() {
  const card = await get("/api/commissioning/card");
  const sizeField = find("#wiring-size");
  for (const { cross_section_mm2: crossSection, torque_nm: torque } of card.torques) {
    sizeField.append(make("option", { value: crossSection }, withUnit(decimal(crossSection), "mm²")));
    const cells = [make("td", {}, withUnit(decimal(crossSection), "mm²")), make("td", { class: "number" }, withUnit(decimal(torque, 2), "Nm"))];
    find("#wiring-card").append(make("tr", { "data-size": crossSection }, cells));
  }
  setText(find("#wiring-cover"), t("wiring.cover-at", { torque: decimal(card.cover_screws_nm) }));
  sizeField.addEventListener("change", () => {
    const chosen = card.torques.find((row) => String(row.cross_section_mm2) === sizeField.value);
    const text = chosen === undefined ? t("wiring.terminals") : t("wiring.terminals-at", { torque: decimal(chosen.torque_nm, 2) });
    setText(find("#wiring-terminals"), text);
    for (const row of find("#wiring-card").children) row.classList.toggle("chosen", row.dataset.size === sizeField.value);
  });
}
