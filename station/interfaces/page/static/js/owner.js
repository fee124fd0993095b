// The owner's page: history, cards, schedule, prices and access.

import { openAccess } from "./access.js";
import { activate } from "./activation.js";
import { acting, find, show } from "./dom.js";
import { look, watch } from "./live.js";
import { openCards } from "./owner-cards.js";
import { openHistory } from "./owner-history.js";
import { openPrice, openSchedule } from "./owner-plan.js";
import { openReservations } from "./owner-reservations.js";
import { openTimeZone } from "./owner-time-zone.js";
import { openSafeStart } from "./safe-start.js";
import { tabs } from "./tabs.js";
import { openUnreadable } from "./unreadable.js";

const panels = { history: openHistory, cards: () => Promise.all([openCards(), openReservations()]), schedule: () => Promise.all([openSchedule(), openTimeZone()]), price: openPrice, access: openAccess };

openSafeStart();
openUnreadable();
tabs((name) => panels[name]());
watch((status) => show(find("#activation"), status.stage === "commissioned"));
acting(find("#activate"), async () => {
  await activate();
  look();
});
