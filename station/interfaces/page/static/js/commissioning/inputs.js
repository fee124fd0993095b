// The inputs that steps compare: current selector, jumpers, the grid operator's contact, the limits in force.

import { get } from "../api.js";
import { find } from "../dom.js";
import { amps } from "../format.js";
import { facts } from "../io.js";
import { t } from "../words.js";
import { bare, value } from "./evidence.js";

const EVERY_MS = 1500;

/** Call `look` now and periodically while its step is open. */
export function whileOpen(name, look) {
  const step = async () => {
    try {
      await look();
    } catch {
      // the banner reports it
    }
  };
  step();
  const timer = setInterval(() => {
    if (find(`#${name}`).hidden) clearInterval(timer);
    else if (!document.hidden) step();
  }, EVERY_MS);
}

export function openBreaker() {
  whileOpen("breaker", async () => {
    const { selector_a: selector } = await get("/api/io");
    facts(find("#breaker-facts"), [[t("io.selector"), selector === null ? t("shell.unknown") : amps(selector)]]);
  });
}

export function openContact() {
  whileOpen("grid-contact", async () => {
    const { grid_order: ordered } = await get("/api/io");
    facts(find("#contact-facts"), [[t("io.grid-order"), t(ordered ? "shell.yes" : "shell.no")]]);
  });
}

export function openLimits() {
  whileOpen("limits", async () => {
    const [{ grid }, { limit_a: known }] = await Promise.all([
      get("/api/commissioning/settings/in-force"),
      get("/api/commissioning/meter"),
    ]);
    if (grid === null) return;
    const rows = ["max_current_a", "safe_current_a", "breaker", "sharing", "unbalance_a"]
      .filter((name) => grid[name] !== null)
      .map((name) => [bare(t(`field.${name}`)), value(name, grid[name])]);
    facts(find("#limits-facts"), [...rows, [t("field.in_force_a"), known === null ? t("shell.unknown") : amps(known)]]);
  });
}
