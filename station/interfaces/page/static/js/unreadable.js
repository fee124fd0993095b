// Rows of the storage that cannot be read, with their transaction and the fields that are missing or wrong.

import { find, make, setText, show } from "./dom.js";
import { watchStatus } from "./live.js";
import { t } from "./words.js";

/** Show the list while there are unreadable rows. */
export function watchUnreadableRows() {
  let lastContent = "";
  watchStatus((status) => {
    const unreadable = status.unreadable_rows;
    const count = unreadable?.count ?? 0;
    show(find("#unreadable"), count > 0);
    const content = JSON.stringify(unreadable);
    if (count === 0 || content === lastContent) return;
    lastContent = content;
    setText(find("#unreadable-count"), t("unreadable.count", { count }));
    find("#unreadable-items").replaceChildren(...unreadable.rows.map(rowItem));
  });
}

function rowItem(row) {
  const rowText = row.transaction_id === null
    ? t("unreadable.row", { table: row.table, row: row.row })
    : t("unreadable.transaction", { transaction: row.transaction_id, table: row.table, row: row.row });
  return make("li", {}, make("div", {}, make("p", {}, rowText), make("p", { class: "muted small" }, row.problem)));
}
