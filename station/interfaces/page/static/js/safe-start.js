// The stored rows that the station has set aside after failed starts, and the two ways to end that.

import { post } from "./api.js";
import { find, make, runOnClick, setText, show } from "./dom.js";
import { reloadStatus, watchStatus } from "./live.js";
import { t } from "./words.js";

/** Show the section while rows are set aside. */
export function watchSafeStart() {
  let lastContent = "";
  watchStatus((status) => {
    const safeStart = status.safe_start ?? null;
    show(find("#safe-start"), safeStart !== null);
    const content = JSON.stringify(safeStart);
    if (safeStart === null || content === lastContent) return;
    lastContent = content;
    setText(find("#safe-start-cause"), t("safe-start.cause", { cause: safeStart.cause }));
    find("#safe-start-items").replaceChildren(...safeStart.set_aside.map(setAsideItem));
  });
  runOnClick(find("#safe-start-put-back"), () => endSafeStart("put-back"));
  runOnClick(find("#safe-start-delete"), async () => {
    if (confirm(t("safe-start.sure"))) await endSafeStart("delete");
  });
}

async function endSafeStart(rows) {
  await post("/api/safe-start/end", { rows });
  reloadStatus();
}

function setAsideItem({ kind, rows, failed }) {
  const text = t("safe-start.rows", { kind: t(`safe-start.kind.${kind}`), rows });
  const failure = failed ? make("p", { class: "muted small" }, t("safe-start.failed")) : null;
  return make("li", {}, make("div", {}, make("p", {}, text), failure));
}
