// The forms and buttons that test a step: sends the input to the station, and shows errors next to it.

import { acting, find, say, toast } from "../dom.js";
import { t } from "../words.js";
import { skipStep, tryStep } from "./steps.js";
import { entered } from "./fields.js";

/** Make all of them work. */
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

/** Call `act` with what was entered, once at a time; what goes wrong is said in the form. */
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

/** Do a step's test; a refusal is said in its section. */
export async function send(within, body) {
  complain(within, "");
  try {
    const told = await tryStep(body);
    find("[data-outcome]", within.closest("[data-step]")).scrollIntoView({ block: "nearest" });
    return told;
  } catch (error) {
    complain(within, error.status === 409 ? t("commissioning.refused") : error.message);
    return null;
  }
}

/** Say what is wrong where the visitor looks. */
export function complain(within, text) {
  const place = find("[data-problem]", within) ?? find("[data-problem]", within.closest("[data-step]"));
  if (place === null) toast(text);
  else say(place, text);
}
