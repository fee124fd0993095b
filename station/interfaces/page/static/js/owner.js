// The owner's page: history, cards, schedule, prices and access.

import { openAccess } from "./access.js";
import { activateStation } from "./activation.js";
import { find, runOnClick, show } from "./dom.js";
import { reloadStatus, watchStatus } from "./live.js";
import { openCards } from "./owner-cards.js";
import { openHistory } from "./owner-history.js";
import { openPrice, openSchedule } from "./owner-plan.js";
import { openReservations } from "./owner-reservations.js";
import { openTimeZone } from "./owner-time-zone.js";
import { watchSafeStart } from "./safe-start.js";
import { activateTabs } from "./tabs.js";
import { watchUnreadableRows } from "./unreadable.js";

const panels = { history: openHistory, cards: () => Promise.all([openCards(), openReservations()]), schedule: () => Promise.all([openSchedule(), openTimeZone()]), price: openPrice, access: openAccess };

watchSafeStart();
watchUnreadableRows();
activateTabs((name) => panels[name]());
watchStatus((status) => show(find("#activation"), status.stage === "commissioned"));
runOnClick(find("#activate"), async () => {
  await activateStation();
  reloadStatus();
});
