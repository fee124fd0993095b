// The connection to the CSMS: whether it is connected, and a test that waits a short time for it.

import { get } from "../api.js";
import { acting, find, make } from "../dom.js";
import { facts } from "../io.js";
import { watch } from "../live.js";
import { t } from "../words.js";
import { send } from "./forms.js";

const PATIENCE_MS = 15_000;
const AGAIN_MS = 500;

export function networkStep() {
  watch(({ csms }) => {
    if (csms === null) return facts(find("#network-facts"), [[t("io.csms"), t("ocpp.alone")]]);
    const pill = make("span", { class: csms.connected ? "pill on" : "pill bad" }, t(csms.connected ? "ocpp.connected" : "ocpp.apart"));
    facts(find("#network-facts"), [[t("field.url"), csms.url], [t("io.csms"), pill]]);
  });
  const button = find("#network-test");
  acting(button, async () => {
    const until = Date.now() + PATIENCE_MS;
    while (Date.now() < until && !(await get("/api/status")).csms?.connected) {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    await send(button, { step: "network" });
  });
}
