// The site settings: filled with those in force; changes are sent as a difference, then the station restarts.

import { get, patch } from "../api.js";
import { find, toast } from "../dom.js";
import { reloadStatus } from "../live.js";
import { t } from "../words.js";
import { activateConditions, fieldValues, setAt, valueAt } from "./fields.js";
import { showProblem } from "./forms.js";
import { loadSteps } from "./steps.js";

const applied = new Map();
let present = null;

/** Activate the forms. */
export function activateSettingsForms() {
  for (const form of document.querySelectorAll("form[data-patch]")) {
    applied.set(form, activateConditions(form));
    form.addEventListener("input", () => (form.dataset.touched = "true"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      save(form);
    });
  }
}

/** Fill in the settings in force, except fields that are being edited. */
export async function openSettings() {
  present = await get("/api/commissioning/settings/in-force");
  for (const form of applied.keys()) if (form.dataset.touched === undefined) fill(form);
}

function fill(form) {
  for (const field of form.elements) {
    if (field.name === "" || field.dataset.secret !== undefined) continue;
    const one = valueAt(present, field.name.split("."));
    if (field.type === "checkbox") field.checked = one === true;
    else if (one !== undefined && one !== null) field.value = String(one);
    else if (field.dataset.nothing !== undefined) field.value = "";
  }
  applied.get(form)();
}

async function save(form) {
  const button = find("button[type=submit]", form);
  showProblem(form, "");
  button.disabled = true;
  try {
    present ??= await get("/api/commissioning/settings/in-force");
    const change = difference(form);
    if (Object.keys(change).length > 0) await patch("/api/commissioning/settings?wait=settled", change);
    delete form.dataset.touched;
    await openSettings();
    await loadSteps();
    reloadStatus();
    toast(t("shell.saved"));
  } catch (error) {
    showProblem(form, refusal(error, form));
  } finally {
    button.disabled = false;
  }
}

/** The differences from the settings in force. A table of another type is sent completely. */
function difference(form) {
  const change = {};
  const values = fieldValues(form);
  const renewed = values
    .filter(([field, one]) => field.name.endsWith(".type") && one !== valueAt(present, field.name.split(".")))
    .map(([field]) => field.name.slice(0, -"type".length));
  for (const [field, one] of values) {
    const path = field.name.split(".");
    if (one === null && field.dataset.nothing !== undefined) return { [field.dataset.nothing]: null };
    if (one === null && field.dataset.secret !== undefined) continue;
    const former = renewed.some((start) => field.name.startsWith(start)) ? null : (valueAt(present, path) ?? null);
    if (one !== former) setAt(change, path, one);
  }
  return change;
}

function refusal(error, form) {
  if (error.status === 409) return t("settings.busy");
  if (error.status !== 422) return error.message;
  const detail = error.body?.detail; // in every language the same; the message may have words before it
  if (typeof detail !== "string") return error.message;
  const field = [...form.elements].find((one) => one.name !== "" && detail.startsWith(one.name));
  const label = field?.labels[0]?.textContent ?? null;
  field?.focus();
  return label === null ? t("settings.refused", { detail }) : t("settings.refused-field", { field: label, detail });
}
