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
  const activated = state.stage === "activated";
  const note = absent ? `absent.${step.step}` : state.required ? "end.activated" : "end.not-required";
  setText(find("[data-absent]", section), absent || activated ? t(note) : "");
  show(find("[data-absent]", section), absent || activated);
  for (const part of section.querySelectorAll("[data-test]")) show(part, !absent && !activated);
  const container = find("[data-outcome]", section);
  const content = JSON.stringify([step.outcome, step.at, step.settled, absent, activated]);
  if (container.dataset.shown === content) return;
  container.dataset.shown = content;
  container.replaceChildren(...(absent || step.outcome === null ? [] : resultElements(step, state)));
}

function resultElements(step, state) {
  const status = stepStatus(step, state);
  const list = make("dl", { class: "facts" });
  showFacts(list, evidenceRows(step.evidence ?? {}));
  return [
    make("p", { class: "row apart" }, make("strong", { class: `pill how-${status}` }, t(`standing.${status}`)), timeAndUser(step)),
    status === "stale" ? make("p", {}, t("commissioning.stale")) : null,
    ...reasonParagraphs(step),
    list.children.length > 0 ? make("details", { open: step.outcome === "failed" }, make("summary", {}, t("commissioning.measured")), list) : null,
  ].filter((part) => part !== null);
}

function reasonParagraphs(step) {
  if (step.outcome === "begun" && step.problems.length === 0) return [make("p", {}, t("commissioning.begun"))];
  if (step.outcome === "skipped") return [make("p", {}, t("commissioning.skipped", { reason: step.reason }))];
  return step.problems.map((problem) => make("p", { class: step.outcome === "begun" ? "note" : "problem" }, problemText(problem)));
}

function problemText(problem) {
  const values = Object.entries(problem.values).map(([name, value]) => [name, valueText(name, value)]);
  return t(`cause.${problem.cause}`, Object.fromEntries(values));
}

const timeAndUser = (step) => make("span", { class: "muted small" }, `${dateAndTime(step.at)} · ${userText(step.by)}`);

/** Who did a step: the name, and in brackets the role that the station recorded. */
function userText(user) {
  const role = /^(?:(.*) \()?(owner|installer|service|this machine)\)?$/.exec(user);
  if (role === null) return user;
  const roleName = role[2] === "this machine" ? t("role.here") : t(`role.${role[2]}`);
  return role[1] === undefined ? roleName : `${role[1]} (${roleName})`;
}
