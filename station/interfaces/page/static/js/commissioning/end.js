// The last step: the steps still to do, the signed report, and the hand-over to the owner.

import { post } from "../api.js";
import { find, make, runOnClick, setText, show } from "../dom.js";
import { reloadStatus } from "../live.js";
import { t } from "../words.js";
import { loadSteps, stepStatus, watchSteps } from "./steps.js";

export function setUpEndStep() {
  watchSteps((steps, state) => {
    const left = steps.filter((one) => !one.settled);
    const done = state.stage === "activated" || (state.stage === "commissioned" && left.length === 0 && !later(steps, state));
    setText(find("#end-text"), t(words(state, left, done)));
    find("#end-left").replaceChildren(...(done ? [] : left.map((step) => item(step, state))));
    show(find("#end-finish"), !done && left.length === 0);
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
const later = (steps, state) => steps.some((one) => one.at !== null && new Date(one.at) > new Date(state.commissioned_at));

function words(state, left, done) {
  if (!state.required) return "end.not-required";
  if (state.stage === "activated") return "end.activated";
  if (done) return "end.commissioned";
  return left.length === 0 ? "end.ready" : "end.left";
}

function item(step, state) {
  const how = stepStatus(step, state);
  return make("li", {}, make("a", { href: `#${step.step}` }, t(`step.${step.step}`)), make("span", { class: `pill how-${how}` }, t(`standing.${how}`)));
}
