// The test session: start, check that energy flows, end.

import { post, remove } from "../api.js";
import { find, make, runOnClick, show } from "../dom.js";
import { amps, kilowattHours, kilowatts } from "../format.js";
import { showFacts } from "../io.js";
import { reloadStatus, watchStatus } from "../live.js";
import { t } from "../words.js";
import { runTestAndShow, showProblem } from "./forms.js";

const selectedEvse = () => Number(find("#session-evse").value);

export function setUpSessionStep() {
  watchStatus((status) => showValues(status.evses.find((evse) => evse.id === selectedEvse())));
  find("#session-evse").addEventListener("change", reloadStatus);
  runOnClick(find("#session-check"), () => runTestAndShow(find("#session-check"), { step: "test-session", evse: selectedEvse() }));
  requestOnClick(find("#session-begin"), () => post("/api/commissioning/test-session", { evse: selectedEvse() }), "session.cannot");
  requestOnClick(find("#session-end"), () => remove("/api/commissioning/test-session", { evse: selectedEvse() }), "session.none");
}

function requestOnClick(button, request, refusedKey) {
  runOnClick(button, async () => {
    showProblem(button, "");
    try {
      await request();
    } catch (error) {
      showProblem(button, error.status === 409 ? t(refusedKey) : error.message);
    }
    reloadStatus();
  });
}

function showValues(evse) {
  if (evse === undefined) return;
  show(find("#session-begin"), evse.id_token === null);
  show(find("#session-end"), evse.id_token !== null);
  const contactorPill = make("span", { class: evse.contactor_closed ? "pill on" : "pill" }, t(evse.contactor_closed ? "io.closed" : "io.open"));
  const meter = evse.meter;
  showFacts(find("#session-facts"), [
    [t("io.pilot"), `${evse.pilot} – ${t(`pilot.${evse.pilot}`)}`],
    [t("field.transaction"), t(evse.transaction_id === null ? "shell.no" : "shell.yes")],
    [t("io.contactor"), contactorPill],
    [t("io.offers"), evse.offered_a === null ? "–" : amps(evse.offered_a)],
    [t("field.currents_a"), meter === null ? "–" : meter.currents_a.map(amps).join(" / ")],
    [t("session.power"), meter === null ? "–" : kilowatts(meter.power_w)],
    [t("session.register"), meter === null ? "–" : kilowattHours(meter.energy_import_wh)],
  ]);
}
