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

export const stepOf = (name) => steps.find((one) => one.step === name);

/** Reload the steps. */
export async function load() {
  [steps, state] = await Promise.all([get("/api/commissioning/steps"), get("/api/commissioning")]);
  for (const watcher of watchers) watcher(steps, state);
}

/** Run the test of a step; returns its result. */
export async function tryStep(body) {
  const result = await post("/api/commissioning/steps", body);
  await load();
  return result;
}

export async function skipStep(name, reason) {
  await post(`/api/commissioning/steps/${name}/skip`, { reason });
  await load();
}

/** The status of a step, as the key of its text. */
export function standing(step, { required, stage }) {
  if (step.inapplicable !== null) return "absent";
  const over = stage === "activated"; // then no step can be done any more
  if (step.outcome === null) return over ? (required ? "unchecked" : "not-required") : "open";
  if (!step.settled && (step.outcome === "passed" || step.outcome === "skipped")) return over ? "changed" : "stale";
  return step.outcome;
}
