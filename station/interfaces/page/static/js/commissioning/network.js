// The connection to the CSMS: whether it is connected, and a test that waits a short time for it.

import { get } from "../api.js";
import { find, make, runOnClick } from "../dom.js";
import { showFacts } from "../io.js";
import { watchStatus } from "../live.js";
import { t } from "../words.js";
import { runTestAndShow } from "./forms.js";

const CONNECT_TIMEOUT_MS = 15_000;
const POLL_INTERVAL_MS = 500;

export function setUpNetworkStep() {
  watchStatus(({ csms }) => {
    if (csms === null) return showFacts(find("#network-facts"), [[t("io.csms"), t("ocpp.alone")]]);
    const pill = make("span", { class: csms.connected ? "pill on" : "pill bad" }, t(csms.connected ? "ocpp.connected" : "ocpp.apart"));
    showFacts(find("#network-facts"), [[t("field.url"), csms.url], [t("io.csms"), pill]]);
  });
  const button = find("#network-test");
  runOnClick(button, async () => {
    const deadline = Date.now() + CONNECT_TIMEOUT_MS;
    while (Date.now() < deadline && !(await get("/api/status")).csms?.connected) {
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
    }
    await runTestAndShow(button, { step: "network" });
  });
}
