// The test session: start, check that energy flows, end.

import { post, remove } from "../api.js";
import { acting, find, make, show } from "../dom.js";
import { amps, kilowattHours, kilowatts } from "../format.js";
import { facts } from "../io.js";
import { look, watch } from "../live.js";
import { t } from "../words.js";
import { complain, send } from "./forms.js";

const chosen = () => Number(find("#session-evse").value);

export function sessionStep() {
  watch((status) => values(status.evses.find((one) => one.id === chosen())));
  find("#session-evse").addEventListener("change", look);
  acting(find("#session-check"), () => send(find("#session-check"), { step: "test-session", evse: chosen() }));
  asking(find("#session-begin"), () => post("/api/commissioning/test-session", { evse: chosen() }), "session.cannot");
  asking(find("#session-end"), () => remove("/api/commissioning/test-session", { evse: chosen() }), "session.none");
}

function asking(button, ask, refused) {
  acting(button, async () => {
    complain(button, "");
    try {
      await ask();
    } catch (error) {
      complain(button, error.status === 409 ? t(refused) : error.message);
    }
    look();
  });
}

function values(evse) {
  if (evse === undefined) return;
  show(find("#session-begin"), evse.id_token === null);
  show(find("#session-end"), evse.id_token !== null);
  const flows = make("span", { class: evse.contactor_closed ? "pill on" : "pill" }, t(evse.contactor_closed ? "io.closed" : "io.open"));
  const meter = evse.meter;
  facts(find("#session-facts"), [
    [t("io.pilot"), `${evse.pilot} – ${t(`pilot.${evse.pilot}`)}`],
    [t("field.transaction"), t(evse.transaction_id === null ? "shell.no" : "shell.yes")],
    [t("io.contactor"), flows],
    [t("io.offers"), evse.offered_a === null ? "–" : amps(evse.offered_a)],
    [t("field.currents_a"), meter === null ? "–" : meter.currents_a.map(amps).join(" / ")],
    [t("session.power"), meter === null ? "–" : kilowatts(meter.power_w)],
    [t("session.register"), meter === null ? "–" : kilowattHours(meter.energy_import_wh)],
  ]);
}
