// The result of a step: passed or failed, the reason, the values measured, when and by whom.

import { find, make, setText, show } from "../dom.js";
import { dateAndTime } from "../format.js";
import { showFacts } from "../io.js";
import { t } from "../words.js";
import { evidenceRows, valueText } from "./evidence.js";
import { stepStatus } from "./steps.js";

/** Show the result in the step's section, if it has changed; no tests are offered once the station is activated. */
export function showOutcome(section, step, state) {
  const absent = step.inapplicable !== null;
  const over = state.stage === "activated";
  const note = absent ? `absent.${step.step}` : state.required ? "end.activated" : "end.not-required";
  setText(find("[data-absent]", section), absent || over ? t(note) : "");
  show(find("[data-absent]", section), absent || over);
  for (const part of section.querySelectorAll("[data-test]")) show(part, !absent && !over);
  const place = find("[data-outcome]", section);
  const now = JSON.stringify([step.outcome, step.at, step.settled, absent, over]);
  if (place.dataset.shown === now) return;
  place.dataset.shown = now;
  place.replaceChildren(...(absent || step.outcome === null ? [] : resultRows(step, state)));
}

function resultRows(step, state) {
  const how = stepStatus(step, state);
  const list = make("dl", { class: "facts" });
  showFacts(list, evidenceRows(step.evidence ?? {}));
  return [
    make("p", { class: "row apart" }, make("strong", { class: `pill how-${how}` }, t(`standing.${how}`)), when(step)),
    how === "stale" ? make("p", {}, t("commissioning.stale")) : null,
    ...reasons(step),
    list.children.length > 0 ? make("details", { open: step.outcome === "failed" }, make("summary", {}, t("commissioning.measured")), list) : null,
  ].filter((part) => part !== null);
}

function reasons(step) {
  if (step.outcome === "begun" && step.problems.length === 0) return [make("p", {}, t("commissioning.begun"))];
  if (step.outcome === "skipped") return [make("p", {}, t("commissioning.skipped", { reason: step.reason }))];
  return step.problems.map((problem) => make("p", { class: step.outcome === "begun" ? "note" : "problem" }, why(problem)));
}

function why(problem) {
  const values = Object.entries(problem.values).map(([name, one]) => [name, valueText(name, one)]);
  return t(`cause.${problem.cause}`, Object.fromEntries(values));
}

const when = (step) => make("span", { class: "muted small" }, `${dateAndTime(step.at)} · ${who(step.by)}`);

/** The name, and in brackets the role that the station recorded. */
function who(by) {
  const role = /^(?:(.*) \()?(owner|installer|service|this machine)\)?$/.exec(by);
  if (role === null) return by;
  const roleName = role[2] === "this machine" ? t("role.here") : t(`role.${role[2]}`);
  return role[1] === undefined ? roleName : `${role[1]} (${roleName})`;
}
