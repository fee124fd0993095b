// The torque table, and the torque for the terminals of the chosen conductor.

import { get } from "../api.js";
import { find, make, setText } from "../dom.js";
import { plain, united } from "../format.js";
import { t } from "../words.js";

export async function wiringStep() {
  const card = await get("/api/commissioning/card");
  const size = find("#wiring-size");
  for (const { cross_section_mm2: section, torque_nm: torque } of card.torques) {
    size.append(make("option", { value: section }, united(plain(section), "mm²")));
    find("#wiring-card").append(
      make("tr", { "data-size": section }, make("td", {}, united(plain(section), "mm²")), make("td", { class: "number" }, united(plain(torque, 2), "Nm"))),
    );
  }
  setText(find("#wiring-cover"), t("wiring.cover-at", { torque: plain(card.cover_screws_nm) }));
  size.addEventListener("change", () => {
    const chosen = card.torques.find((one) => String(one.cross_section_mm2) === size.value);
    setText(find("#wiring-terminals"), chosen === undefined ? t("wiring.terminals") : t("wiring.terminals-at", { torque: plain(chosen.torque_nm, 2) }));
    for (const row of find("#wiring-card").children) row.classList.toggle("chosen", row.dataset.size === size.value);
  });
}
