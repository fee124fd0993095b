// The shunt trip: energises the coil on purpose. If the breaker trips, the station is off until it is closed.

import { post } from "../api.js";
import { find, runOnClick, toast } from "../dom.js";
import { t } from "../words.js";
import { showProblem } from "./forms.js";

export function setUpShuntStep() {
  const button = find("#shunt-energise");
  runOnClick(button, async () => {
    if (!confirm(t("shunt.sure"))) return;
    showProblem(button, "");
    try {
      await post("/api/commissioning/shunt-trip");
      toast(t("shunt.energised"));
    } catch (error) {
      // if the breaker trips, the response is lost
      if (error.status === 0) toast(t("shunt.gone"));
      else showProblem(button, error.status === 409 ? t("shunt.cannot") : error.message);
    }
  });
}
