// The newest lines of the station's log, and its security events.

import { get } from "./api.js";
import { downloadDiagnostics } from "./diagnostics.js";
import { find, make, runOnClick, setText } from "./dom.js";
import { dateAndTime } from "./format.js";
import { t } from "./words.js";

const PAUSE_MS = 400;
let typing = null;

export async function openLog() {
  await Promise.all([lines(), security()]);
}

runOnClick(find("#log-again"), openLog);
runOnClick(find("#log-diagnostics"), downloadDiagnostics);
find("#log-filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(lines, PAUSE_MS);
});

async function lines() {
  const having = encodeURIComponent(find("#log-filter").value.trim());
  const place = find("#log-lines");
  setText(place, (await get(`/api/logs?most=300&having=${having}`)) || t("log.nothing"));
  place.scrollTop = place.scrollHeight;
}

async function security() {
  const events = (await get("/api/security-events?most=50")).reverse();
  find("#log-security").replaceChildren(
    ...events.map((one) =>
      make("li", {}, make("div", {}, make("strong", {}, one.type), make("p", { class: "muted small" }, `${dateAndTime(one.occurred_at)} ${one.info}`))),
    ),
  );
}
