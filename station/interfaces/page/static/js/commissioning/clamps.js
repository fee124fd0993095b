// The current transformers: measured without a load, then with a known load; the arrows are checked by eye.

import { find, runOnClick } from "../dom.js";
import { amps } from "../format.js";
import { showFacts } from "../io.js";
import { watchStatus } from "../live.js";
import { t } from "../words.js";
import { activateConditions } from "./fields.js";
import { runOnSubmit, runTestAndShow } from "./forms.js";

export function setUpClampsStep() {
  const form = find("#clamps-with");
  const noLoadButton = find("#clamps-without");
  activateConditions(form);
  watchStatus(({ grid }) => {
    const rows = grid === null ? [[t("meter.grid"), t("meter.silent")]] : grid.currents_a.map((current, index) => [`CT${index + 1}`, amps(current)]);
    showFacts(find("#clamps-facts"), rows);
  });
  runOnClick(noLoadButton, () => runTestAndShow(noLoadButton, { step: "clamps", load: "none" }));
  runOnSubmit(form, (values) => runTestAndShow(form, { step: "clamps", arrows_checked: find("#clamps-arrows").checked, ...values }));
}
