// The newest lines of the station's log, and its security events.

import { get } from "./api.js";
import { downloadDiagnostics } from "./diagnostics.js";
import { find, make, runOnClick, setText } from "./dom.js";
import { dateAndTime } from "./format.js";
import { t } from "./words.js";

const TYPING_PAUSE_MS = 400;
let filterTimer = null;

export async function openLog() {
  await Promise.all([loadLines(), loadSecurityEvents()]);
}

runOnClick(find("#log-again"), openLog);
runOnClick(find("#log-diagnostics"), downloadDiagnostics);
find("#log-filter").addEventListener("input", () => {
  clearTimeout(filterTimer);
  filterTimer = setTimeout(loadLines, TYPING_PAUSE_MS);
});

async function loadLines() {
  const filter = find("#log-filter").value.trim();
  const lines = await get(`/api/logs?most=300&having=${encodeURIComponent(filter)}`);
  if (filter !== find("#log-filter").value.trim()) return; // the lines of another filter are on their way
  const linesElement = find("#log-lines");
  setText(linesElement, lines || t("log.nothing"));
  linesElement.scrollTop = linesElement.scrollHeight;
}

async function loadSecurityEvents() {
  const events = (await get("/api/security-events?most=50")).reverse();
  find("#log-security").replaceChildren(
    ...events.map((event) => {
      const details = make("p", { class: "muted small" }, `${dateAndTime(event.occurred_at)} ${event.info}`);
      return make("li", {}, make("div", {}, make("strong", {}, event.type), details));
    }),
  );
}
