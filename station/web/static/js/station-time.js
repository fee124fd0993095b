// Moments as a clock at the station shows them, wherever the browser is.

const clock = JSON.parse(document.documentElement.dataset.clock);
const next = clock.next === null ? null : { at: Date.parse(clock.next.at), offset_min: clock.next.offset_min };
const named = known(clock.zone) ? clock.zone : null;

function known(zone) {
  if (zone === null) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false; // a zone that is younger than the browser
  }
}

const offset = (ms) => (next !== null && ms >= next.at ? next.offset_min : clock.offset_min) * 60_000;

/** A function that writes a moment (ISO 8601, or milliseconds) with the options of Intl.DateTimeFormat. */
export function formatter(locale, options) {
  const format = new Intl.DateTimeFormat(locale, { ...options, timeZone: named ?? "UTC" });
  return (moment) => {
    const ms = new Date(moment).getTime();
    return format.format(named === null ? ms + offset(ms) : ms);
  };
}

/** The day of a moment, as 2026-01-31. */
export const isoDay = formatter("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit" });
