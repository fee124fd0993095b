// The forms and buttons that test a step: sends the input to the station, and shows errors next to it.

import { acting, find, setText, toast } from "../dom.js";
import { t } from "../words.js";
import { skipStep, tryStep } from "./steps.js";
import { entered } from "./fields.js";

/** Activate all forms and buttons. */
export function forms() {
  for (const form of document.querySelectorAll("form[data-try]")) {
    submitting(form, (values) => send(form, { step: form.dataset.try, ...values }));
  }
  for (const form of document.querySelectorAll("form[data-skip]")) {
    submitting(form, async ({ reason }) => {
      await skipStep(form.closest("[data-step]").dataset.step, reason);
      form.reset();
      form.closest("details").open = false;
    });
  }
  for (const button of document.querySelectorAll("button[data-send]")) {
    acting(button, () => send(button, JSON.parse(button.dataset.send)));
  }
}

/** Call `act` with the values entered, one call at a time; errors are shown in the form. */
export function submitting(form, act) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = find("button[type=submit]", form);
    button.disabled = true;
    try {
      await act(entered(form));
    } catch (error) {
      complain(form, error.message);
    } finally {
      button.disabled = false;
    }
  });
}

/** Run the test of a step; a refusal is shown in its section. */
export async function send(within, body) {
  complain(within, "");
  try {
    const result = await tryStep(body);
    find("[data-outcome]", within.closest("[data-step]")).scrollIntoView({ block: "nearest" });
    return result;
  } catch (error) {
    complain(within, error.status === 409 ? t("commissioning.refused") : error.message);
    return null;
  }
}

/** Show an error where the user sees it. */
export function complain(within, text) {
  const place = find("[data-problem]", within) ?? find("[data-problem]", within.closest("[data-step]"));
  if (place === null) toast(text);
  else setText(place, text);
}
