// The inputs that steps compare: current selector, jumpers, the grid operator's contact, the limits in force.

import { get } from "../api.js";
import { find } from "../dom.js";
import { amps } from "../format.js";
import { showFacts } from "../io.js";
import { t } from "../words.js";
import { valueText, withoutUnit } from "./evidence.js";

const RELOAD_INTERVAL_MS = 1500;

/** Call `refresh` now, and periodically while the step of this name is open. */
export function refreshWhileOpen(name, refresh) {
  const refreshQuietly = async () => {
    try {
      await refresh();
    } catch {
      // the banner reports it
    }
  };
  refreshQuietly();
  const timer = setInterval(() => {
    if (find(`#${name}`).hidden) clearInterval(timer);
    else if (!document.hidden) refreshQuietly();
  }, RELOAD_INTERVAL_MS);
}

export function openBreakerStep() {
  refreshWhileOpen("breaker", async () => {
    const { selector_a: selector } = await get("/api/io");
    showFacts(find("#breaker-facts"), [[t("io.selector"), selector === null ? t("shell.unknown") : amps(selector)]]);
  });
}

export function openGridContactStep() {
  refreshWhileOpen("grid-contact", async () => {
    const { grid_order: ordered } = await get("/api/io");
    showFacts(find("#contact-facts"), [[t("io.grid-order"), t(ordered ? "shell.yes" : "shell.no")]]);
  });
}

export function openLimitsStep() {
  refreshWhileOpen("limits", async () => {
    const [{ grid }, { limit_a: limit }] = await Promise.all([
      get("/api/commissioning/settings/in-force"),
      get("/api/commissioning/meter"),
    ]);
    if (grid === null) return;
    const rows = ["max_current_a", "safe_current_a", "breaker", "sharing", "unbalance_a"]
      .filter((name) => grid[name] !== null)
      .map((name) => [withoutUnit(t(`field.${name}`)), valueText(name, grid[name])]);
    showFacts(find("#limits-facts"), [...rows, [t("field.in_force_a"), limit === null ? t("shell.unknown") : amps(limit)]]);
  });
}
