// The current transformers: measured without a load, then with a known load; the arrows are checked by eye.

import { acting, find } from "../dom.js";
import { amps } from "../format.js";
import { facts } from "../io.js";
import { watch } from "../live.js";
import { t } from "../words.js";
import { conditional } from "./fields.js";
import { send, submitting } from "./forms.js";

export function clampsStep() {
  const form = find("#clamps-with");
  const without = find("#clamps-without");
  conditional(form);
  watch(({ grid }) => {
    const rows = grid === null ? [[t("meter.grid"), t("meter.silent")]] : grid.currents_a.map((one, at) => [`CT${at + 1}`, amps(one)]);
    facts(find("#clamps-facts"), rows);
  });
  acting(without, () => send(without, { step: "clamps", load: "none" }));
  submitting(form, (values) => send(form, { step: "clamps", arrows_checked: find("#clamps-arrows").checked, ...values }));
}
