// The shunt trip: the coil is energised on purpose. Where the breaker falls, the station is gone until it is closed again.

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
      // a breaker that falls takes the answer with it
      if (error.status === 0) toast(t("shunt.gone"));
      else complain(button, error.status === 409 ? t("shunt.cannot") : error.message);
    }
  });
}
