// The smart meter: actual and required position of the jumpers, with live values and raw frames.

import { get } from "../api.js";
import { find, setText, show } from "../dom.js";
import { showFacts } from "../io.js";
import { openMeter } from "../meter-frames.js";
import { t } from "../words.js";
import { refreshWhileOpen } from "./inputs.js";
import { stepOf, watchSteps } from "./steps.js";

export function setUpMeterStep() {
  watchSteps(() => {
    const step = stepOf("meter");
    if (step.inapplicable !== null) find("#meter [data-settings]").open = true;
  });
}

export function openMeterStep() {
  openMeter();
  refreshWhileOpen("meter", async () => {
    const { jumpers, jumpers_expected: expected, jumpers_mismatch: mismatch } = await get("/api/io");
    showFacts(find("#meter-plate"), [
      [t("io.jumpers"), jumpers ?? t("shell.unknown")],
      [t("io.jumpers-expected"), expected ?? "–"],
    ]);
    setText(find("#meter-mismatch"), mismatch === null ? "" : t("cause.jumpers", { position: jumpers, expected }));
    show(find("#meter-mismatch"), mismatch !== null);
  });
}
