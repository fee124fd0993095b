// The last step: the steps still to do, the signed report, and the hand-over to the owner.

import { post } from "../api.js";
import { find, make, runOnClick, setText, show } from "../dom.js";
import { reloadStatus } from "../live.js";
import { t } from "../words.js";
import { loadSteps, stepStatus, watchSteps } from "./steps.js";

export function setUpEndStep() {
  watchSteps((steps, state) => {
    const unsettled = steps.filter((step) => !step.settled);
    const done = state.stage === "activated" || (state.stage === "commissioned" && unsettled.length === 0 && !repeatedAfterReport(steps, state));
    setText(find("#end-text"), t(endTextKey(state, unsettled, done)));
    find("#end-left").replaceChildren(...(done ? [] : unsettled.map((step) => stepItem(step, state))));
    show(find("#end-finish"), !done && unsettled.length === 0);
    show(find("#end-after"), done && state.commissioned_at !== null);
    show(find("#end-owner"), done && state.stage === "commissioned");
  });
  runOnClick(find("#end-finish"), async () => {
    setText(find("#end-problem"), "");
    try {
      await post("/api/commissioning");
    } catch (error) {
      setText(find("#end-problem"), error.message);
    }
    await loadSteps();
    reloadStatus();
    find("#end-title").focus();
  });
  runOnClick(find("#end-code"), async () => {
    const { code } = await post("/api/accounts/owner/code");
    setText(find("#end-code-value"), code);
    show(find("#end-code-value"), true);
  });
}

/** Whether a step was repeated after the report was signed. */
const repeatedAfterReport = (steps, state) => steps.some((step) => step.at !== null && new Date(step.at) > new Date(state.commissioned_at));

function endTextKey(state, unsettled, done) {
  if (!state.required) return "end.not-required";
  if (state.stage === "activated") return "end.activated";
  if (done) return "end.commissioned";
  return unsettled.length === 0 ? "end.ready" : "end.left";
}

function stepItem(step, state) {
  const status = stepStatus(step, state);
  const link = make("a", { href: `#${step.step}` }, t(`step.${step.step}`));
  return make("li", {}, link, make("span", { class: `pill how-${status}` }, t(`standing.${status}`)));
}
