// Formats times in the time zone of the station, regardless of the browser's.

const clock = JSON.parse(document.documentElement.dataset.clock);
const next = clock.next === null ? null : { at: Date.parse(clock.next.at), offset_min: clock.next.offset_min };
let named = known(clock.zone) ? clock.zone : null;

/** Switch to a time zone that was just set on this page. */
export function useZone(zone) {
  if (known(zone)) named = zone;
}

function known(zone) {
  if (zone === null) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false; // the browser is older than this zone
  }
}

const offset = (ms) => (next !== null && ms >= next.at ? next.offset_min : clock.offset_min) * 60_000;

/** A function that formats a time (ISO 8601, or milliseconds) with the options of Intl.DateTimeFormat. */
export function formatter(locale, options) {
  let zone = null;
  let format = null;
  return (moment) => {
    if (format === null || zone !== named) {
      zone = named;
      format = new Intl.DateTimeFormat(locale, { ...options, timeZone: zone ?? "UTC" });
    }
    const ms = new Date(moment).getTime();
    return format.format(zone === null ? ms + offset(ms) : ms);
  };
}

/** The date of a time, as 2026-01-31. */
export const isoDay = formatter("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit" });
