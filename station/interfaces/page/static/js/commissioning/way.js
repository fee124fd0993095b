// Navigation through the steps: the list, the open step, back and next. The address contains the open step, so that a
// reload or another device continues there.

import { find, make, setText, show } from "../dom.js";
import { dateAndTime } from "../format.js";
import { watchStatus } from "../live.js";
import { root } from "../root.js";
import { pluralText, t } from "../words.js";
import { showOutcome } from "./outcome.js";
import { loadSteps, stepOf, stepStatus, watchSteps } from "./steps.js";

const END = "end";
const WIDE = matchMedia("(min-width: 60rem)");
let names = [];
let shown = null;
let over = false; // whether the station is activated: no step can be done any more

/** Start the navigation; `opened` is called with the name of each step that is shown. */
export function startNavigation(onOpen) {
  watchSteps((steps, state) => {
    names = [...steps.map((one) => one.step), END];
    list(steps, state);
    for (const step of steps) showOutcome(find(`#${step.step}`), step, state);
    emphasize(state);
    progress(steps, state);
  });
  const go = (focus) => {
    const wanted = location.hash.slice(1);
    const known = names.includes(wanted);
    open(known ? wanted : firstOpen(), onOpen, known && focus);
  };
  addEventListener("hashchange", () => go(true));
  WIDE.addEventListener("change", unfold);
  unfold();
  go(false);
  let looked = false;
  watchStatus(() => {
    if (looked) loadSteps().catch(() => {}); // the banner reports it
    looked = true;
  });
}

function firstOpen() {
  const left = find("#way-list a[data-left]");
  return left === null ? END : left.hash.slice(1);
}

function open(name, opened, focus) {
  shown = name;
  for (const section of document.querySelectorAll(".step")) show(section, section.id === name);
  const at = names.indexOf(name);
  const neighbour = (link, to) => {
    show(link, to !== undefined);
    if (to !== undefined) link.setAttribute("href", `#${to}`);
  };
  neighbour(find("#way-back"), names[at - 1]);
  neighbour(find("#way-on"), names[at + 1]);
  show(find("#way-buttons"), true);
  history.replaceState(null, "", `#${name}`);
  const here = encodeURIComponent(`${location.pathname.slice(root.length)}#${name}`);
  for (const link of document.querySelectorAll(".languages a")) link.search = `?to=${here}`;
  mark();
  emphasize();
  if (!WIDE.matches) find("#way-all").open = false;
  if (focus) find(`#${name}-title`).focus();
  opened(name);
}

function list(steps, state) {
  const over = state.stage === "activated";
  const rows = steps.map((step) => {
    const how = stepStatus(step, state);
    return row(step.step, t(`step.${step.step}`), how, !step.settled && !over);
  });
  rows.push(row(END, t("end.title"), null, false));
  const place = find("#way-list");
  for (const [at, item] of rows.entries()) {
    const there = place.children[at];
    if (there === undefined) place.append(item);
    else if (there.dataset.how !== item.dataset.how) {
      const focused = there.contains(document.activeElement);
      there.replaceWith(item);
      if (focused) find("a", item).focus();
    }
  }
  mark();
}

function row(name, title, how, left) {
  const link = make("a", { href: `#${name}`, "data-left": left }, make("span", {}, title));
  if (how !== null) link.append(make("span", { class: `pill how-${how}` }, t(`standing.${how}`)));
  return make("li", { "data-how": `${how} ${left}` }, link);
}

function mark() {
  for (const link of document.querySelectorAll("#way-list a")) {
    if (link.hash === `#${shown}`) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
  }
}

/** Emphasize what is to be done now: the button of the open step, or the link to the next one if nothing is left here. */
function emphasize(state) {
  if (state !== undefined) over = state.stage === "activated";
  const step = stepOf(shown);
  const nothingLeft = step !== undefined && (over || step.settled || step.inapplicable !== null);
  find("#way-on").classList.toggle("primary", nothingLeft);
  if (shown !== null) find(`#${shown}`).classList.toggle("settled", nothingLeft);
}

function progress(steps, state) {
  const all = steps.filter((one) => one.inapplicable === null);
  const done = all.filter((one) => one.settled).length;
  setText(find("#way-progress"), progressText(state, done, all.length));
  show(find("#way-bar"), state.required);
  find("#way-bar").max = all.length;
  find("#way-bar").value = done;
}

function progressText(state, done, all) {
  if (!state.required) return t("commissioning.not-required");
  if (state.stage === "activated") return t("commissioning.activated", { moment: dateAndTime(state.activated_at) });
  return pluralText("commissioning.progress", done, { done, all });
}

function unfold() {
  find("#way-all").open = WIDE.matches;
}
