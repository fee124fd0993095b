// Navigation through the steps: the list, the open step, back and next. The address contains the open step, so that a
// reload or another device continues there.

import { find, make, setText, show } from "../dom.js";
import { dateAndTime } from "../format.js";
import { watchStatus } from "../live.js";
import { root } from "../root.js";
import { pluralText, t } from "../words.js";
import { showOutcome } from "./outcome.js";
import { loadSteps, stepOf, stepStatus, watchSteps } from "./steps.js";

const END_STEP = "end";
const WIDE_SCREEN = matchMedia("(min-width: 60rem)");
let stepNames = [];
let currentStepName = null;
let stationActivated = false; // then no step can be done any more

/** Start the navigation; `onOpen` is called with the name of each step that is opened. */
export function startNavigation(onOpen) {
  watchSteps((steps, state) => {
    stepNames = [...steps.map((step) => step.step), END_STEP];
    updateList(steps, state);
    for (const step of steps) showOutcome(find(`#${step.step}`), step, state);
    emphasize(state);
    updateProgress(steps, state);
  });
  const openFromAddress = (focus) => {
    const name = location.hash.slice(1);
    const exists = stepNames.includes(name);
    openStep(exists ? name : firstUnsettled(), onOpen, exists && focus);
  };
  addEventListener("hashchange", () => openFromAddress(true));
  WIDE_SCREEN.addEventListener("change", unfoldListIfWide);
  unfoldListIfWide();
  openFromAddress(false);
  let statusReceived = false;
  watchStatus(() => {
    if (statusReceived) loadSteps().catch(() => {}); // the banner reports it
    statusReceived = true;
  });
}

function firstUnsettled() {
  const link = find("#way-list a[data-left]");
  return link === null ? END_STEP : link.hash.slice(1);
}

function openStep(name, onOpen, focus) {
  currentStepName = name;
  for (const section of document.querySelectorAll(".step")) show(section, section.id === name);
  const index = stepNames.indexOf(name);
  const setNeighbour = (link, target) => {
    show(link, target !== undefined);
    if (target !== undefined) link.setAttribute("href", `#${target}`);
  };
  setNeighbour(find("#way-back"), stepNames[index - 1]);
  setNeighbour(find("#way-on"), stepNames[index + 1]);
  show(find("#way-buttons"), true);
  history.replaceState(null, "", `#${name}`);
  const address = encodeURIComponent(`${location.pathname.slice(root.length)}#${name}`);
  for (const link of document.querySelectorAll(".languages a")) link.search = `?to=${address}`;
  markCurrentStep();
  emphasize();
  if (!WIDE_SCREEN.matches) find("#way-all").open = false;
  if (focus) find(`#${name}-title`).focus();
  onOpen(name);
}

function updateList(steps, state) {
  const activated = state.stage === "activated";
  const rows = steps.map((step) => {
    const status = stepStatus(step, state);
    return stepRow(step.step, t(`step.${step.step}`), status, !step.settled && !activated);
  });
  rows.push(stepRow(END_STEP, t("end.title"), null, false));
  const listElement = find("#way-list");
  for (const [index, item] of rows.entries()) {
    const existing = listElement.children[index];
    if (existing === undefined) listElement.append(item);
    else if (existing.dataset.how !== item.dataset.how) {
      const focused = existing.contains(document.activeElement);
      existing.replaceWith(item);
      if (focused) find("a", item).focus();
    }
  }
  markCurrentStep();
}

function stepRow(name, title, status, unsettled) {
  const link = make("a", { href: `#${name}`, "data-left": unsettled }, make("span", {}, title));
  if (status !== null) link.append(make("span", { class: `pill how-${status}` }, t(`standing.${status}`)));
  return make("li", { "data-how": `${status} ${unsettled}` }, link);
}

function markCurrentStep() {
  for (const link of document.querySelectorAll("#way-list a")) {
    if (link.hash === `#${currentStepName}`) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  }
}

/** Emphasize what is to be done now: the button of the open step, or the link to the next one if nothing is left here. */
function emphasize(state) {
  if (state !== undefined) stationActivated = state.stage === "activated";
  const step = stepOf(currentStepName);
  const nothingLeft = step !== undefined && (stationActivated || step.settled || step.inapplicable !== null);
  find("#way-on").classList.toggle("primary", nothingLeft);
  if (currentStepName !== null) find(`#${currentStepName}`).classList.toggle("settled", nothingLeft);
}

function updateProgress(steps, state) {
  const applicable = steps.filter((step) => step.inapplicable === null);
  const settledCount = applicable.filter((step) => step.settled).length;
  setText(find("#way-progress"), progressText(state, settledCount, applicable.length));
  show(find("#way-bar"), state.required);
  find("#way-bar").max = applicable.length;
  find("#way-bar").value = settledCount;
}

function progressText(state, done, all) {
  if (!state.required) return t("commissioning.not-required");
  if (state.stage === "activated") return t("commissioning.activated", { moment: dateAndTime(state.activated_at) });
  return pluralText("commissioning.progress", done, { done, all });
}

function unfoldListIfWide() {
  find("#way-all").open = WIDE_SCREEN.matches;
}
