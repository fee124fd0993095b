// What the station has set aside after failed starts, and the two ways to end that.

import { post } from "./api.js";
import { find, make, runOnClick, setText, show } from "./dom.js";
import { reloadStatus, watchStatus } from "./live.js";
import { t } from "./words.js";

/** Show the section while rows are set aside. */
export function watchSafeStart() {
  let shown = "";
  watchStatus((status) => {
    const safeStart = status.safe_start ?? null;
    show(find("#safe-start"), safeStart !== null);
    const now = JSON.stringify(safeStart);
    if (safeStart === null || now === shown) return;
    shown = now;
    setText(find("#safe-start-cause"), t("safe-start.cause", { cause: safeStart.cause }));
    find("#safe-start-items").replaceChildren(...safeStart.set_aside.map(item));
  });
  runOnClick(find("#safe-start-put-back"), () => end("put-back"));
  runOnClick(find("#safe-start-delete"), async () => {
    if (confirm(t("safe-start.sure"))) await end("delete");
  });
}

async function end(rows) {
  await post("/api/safe-start/end", { rows });
  reloadStatus();
}

function item({ kind, rows, failed }) {
  const text = t("safe-start.rows", { kind: t(`safe-start.kind.${kind}`), rows });
  const failure = failed ? make("p", { class: "muted small" }, t("safe-start.failed")) : null;
  return make("li", {}, make("div", {}, make("p", {}, text), failure));
}
