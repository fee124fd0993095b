// The time zone of the station, used for departures, months, receipts and this page.

import { put } from "./api.js";
import { find, setText, show } from "./dom.js";
import { t } from "./words.js";
import { fillTimeZone } from "./time-zone.js";

const form = find("#zone-form");

export async function openTimeZone() {
  const { time_zone, local_time, utc_offset } = await fillTimeZone(find("#zone"));
  const textKey = time_zone === "" && utc_offset === "+00:00" ? "zone.unset" : "zone.now";
  setText(find("#zone-now"), t(textKey, { time: local_time.slice(11, 16), offset: utc_offset }));
  show(form, true);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = find("#zone-problem");
  setText(problem, "");
  try {
    await put("/api/time-zone", { time_zone: find("#zone").value.trim() });
    location.reload(); // to show all times in the new zone
  } catch (error) {
    setText(problem, error.status === 422 ? t("zone.unknown") : error.message);
  }
});
