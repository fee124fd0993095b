// The commissioning results stored by the station, the same on every device.

import { get, post } from "../api.js";

const watchers = [];
let steps = [];
let state = null;

/** Call `watcher` with all steps and the stage, whenever they may have changed. */
export function watchSteps(watcher) {
  watchers.push(watcher);
  if (state !== null) watcher(steps, state);
}

export const stepOf = (name) => steps.find((step) => step.step === name);

/** Load the steps and the stage, and pass them to the watchers. */
export async function loadSteps() {
  [steps, state] = await Promise.all([get("/api/commissioning/steps"), get("/api/commissioning")]);
  for (const watcher of watchers) watcher(steps, state);
}

/** Run the test of a step; returns its result. */
export async function runTest(body) {
  const result = await post("/api/commissioning/steps", body);
  await loadSteps();
  return result;
}

export async function skipStep(name, reason) {
  await post(`/api/commissioning/steps/${name}/skip`, { reason });
  await loadSteps();
}

/** The status of a step, as the key of its text. */
export function stepStatus(step, { required, stage }) {
  if (step.inapplicable !== null) return "absent";
  const activated = stage === "activated"; // then no step can be done any more
  if (step.outcome === null) return activated ? (required ? "unchecked" : "not-required") : "open";
  if (!step.settled && (step.outcome === "passed" || step.outcome === "skipped")) return activated ? "changed" : "stale";
  return step.outcome;
}
