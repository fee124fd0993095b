// The site settings: filled with those in force; changes are sent as a difference, then the station restarts.

import { get, patch } from "../api.js";
import { find, toast } from "../dom.js";
import { reloadStatus } from "../live.js";
import { t } from "../words.js";
import { activateConditions, fieldValues, setAt, valueAt } from "./fields.js";
import { showProblem } from "./forms.js";
import { loadSteps } from "./steps.js";

const conditionUpdates = new Map(); // by form: the function that shows the parts that match its values
let currentSettings = null;

/** Activate the forms that change settings. */
export function activateSettingsForms() {
  for (const form of document.querySelectorAll("form[data-patch]")) {
    conditionUpdates.set(form, activateConditions(form));
    form.addEventListener("input", () => (form.dataset.touched = "true"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      saveSettings(form);
    });
  }
}

/** Fill in the settings in force, except fields that are being edited. */
export async function openSettings() {
  currentSettings = await get("/api/commissioning/settings/in-force");
  for (const form of conditionUpdates.keys()) if (form.dataset.touched === undefined) fillForm(form);
}

function fillForm(form) {
  for (const field of form.elements) {
    if (field.name === "" || field.dataset.secret !== undefined) continue;
    const value = valueAt(currentSettings, field.name.split("."));
    if (field.type === "checkbox") field.checked = value === true;
    else if (value !== undefined && value !== null) field.value = String(value);
    else if (field.dataset.nothing !== undefined) field.value = "";
  }
  conditionUpdates.get(form)();
}

async function saveSettings(form) {
  const button = find("button[type=submit]", form);
  showProblem(form, "");
  button.disabled = true;
  try {
    currentSettings ??= await get("/api/commissioning/settings/in-force");
    const changes = difference(form);
    if (Object.keys(changes).length > 0) await patch("/api/commissioning/settings?wait=settled", changes);
    delete form.dataset.touched;
    await openSettings();
    await loadSteps();
    reloadStatus();
    toast(t("shell.saved"));
  } catch (error) {
    showProblem(form, refusalText(error, form));
  } finally {
    button.disabled = false;
  }
}

/** The differences from the settings in force. A table of another type is sent completely. */
function difference(form) {
  const changes = {};
  const values = fieldValues(form);
  const retypedTables = values
    .filter(([field, value]) => field.name.endsWith(".type") && value !== valueAt(currentSettings, field.name.split(".")))
    .map(([field]) => field.name.slice(0, -"type".length));
  for (const [field, value] of values) {
    const path = field.name.split(".");
    if (value === null && field.dataset.nothing !== undefined) return { [field.dataset.nothing]: null };
    if (value === null && field.dataset.secret !== undefined) continue;
    const previous = retypedTables.some((prefix) => field.name.startsWith(prefix)) ? null : (valueAt(currentSettings, path) ?? null);
    if (value !== previous) setAt(changes, path, value);
  }
  return changes;
}

function refusalText(error, form) {
  if (error.status === 409) return t("settings.busy");
  if (error.status !== 422) return error.message;
  const detail = error.body?.detail; // the same in every language; the message may have words before it
  if (typeof detail !== "string") return error.message;
  const field = [...form.elements].find((candidate) => candidate.name !== "" && detail.startsWith(candidate.name));
  const label = field?.labels[0]?.textContent ?? null;
  field?.focus();
  return label === null ? t("settings.refused", { detail }) : t("settings.refused-field", { field: label, detail });
}
