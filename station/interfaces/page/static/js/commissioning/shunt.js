// The shunt trip: energises the coil on purpose. If the breaker trips, the station is off until it is closed.

import { post } from "../api.js";
import { acting, find, toast } from "../dom.js";
import { t } from "../words.js";
import { complain } from "./forms.js";

export function shuntStep() {
  const button = find("#shunt-energise");
  acting(button, async () => {
    if (!confirm(t("shunt.sure"))) return;
    complain(button, "");
    try {
      await post("/api/commissioning/shunt-trip");
      toast(t("shunt.energised"));
    } catch (error) {
      // if the breaker trips, the response is lost
      if (error.status === 0) toast(t("shunt.gone"));
      else complain(button, error.status === 409 ? t("shunt.cannot") : error.message);
    }
  });
}
