// The forms and buttons that test a step: sends the input to the station, and shows errors next to it.

import { find, runOnClick, setText, toast } from "../dom.js";
import { t } from "../words.js";
import { runTest, skipStep } from "./steps.js";
import { enteredValues } from "./fields.js";

/** Activate all forms and buttons. */
export function activateForms() {
  for (const form of document.querySelectorAll("form[data-try]")) {
    runOnSubmit(form, (values) => runTestAndShow(form, { step: form.dataset.try, ...values }));
  }
  for (const form of document.querySelectorAll("form[data-skip]")) {
    runOnSubmit(form, async ({ reason }) => {
      await skipStep(form.closest("[data-step]").dataset.step, reason);
      form.reset();
      form.closest("details").open = false;
    });
  }
  for (const button of document.querySelectorAll("button[data-send]")) {
    runOnClick(button, () => runTestAndShow(button, JSON.parse(button.dataset.send)));
  }
}

/** Call `action` with the values entered, one call at a time; errors are shown in the form. */
export function runOnSubmit(form, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = find("button[type=submit]", form);
    button.disabled = true;
    try {
      await action(enteredValues(form));
    } catch (error) {
      showProblem(form, error.message);
    } finally {
      button.disabled = false;
    }
  });
}

/** Run the test of a step and scroll to its result; a refusal is shown in its section. */
export async function runTestAndShow(within, body) {
  showProblem(within, "");
  try {
    const result = await runTest(body);
    find("[data-outcome]", within.closest("[data-step]")).scrollIntoView({ block: "nearest" });
    return result;
  } catch (error) {
    showProblem(within, error.status === 409 ? t("commissioning.refused") : error.message);
    return null;
  }
}

/** Show an error where the user sees it. */
export function showProblem(within, text) {
  const element = find("[data-problem]", within) ?? find("[data-problem]", within.closest("[data-step]"));
  if (element === null) toast(text);
  else setText(element, text);
}
