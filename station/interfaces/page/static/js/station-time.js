// Formats times in the time zone of the station, regardless of the browser's.

const clock = JSON.parse(document.documentElement.dataset.clock);
const nextOffset = clock.next === null ? null : { at: Date.parse(clock.next.at), offset_min: clock.next.offset_min };
let stationZone = isSupported(clock.zone) ? clock.zone : null;

/** Switch to a time zone that was just set on this page. */
export function useZone(zone) {
  if (isSupported(zone)) stationZone = zone;
}

function isSupported(zone) {
  if (zone === null) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false; // the browser is older than this zone
  }
}

const offsetMs = (ms) => (nextOffset !== null && ms >= nextOffset.at ? nextOffset.offset_min : clock.offset_min) * 60_000;

/** A function that formats a time (ISO 8601, or milliseconds) with the options of Intl.DateTimeFormat. */
export function formatter(locale, options) {
  let zone = null;
  let format = null;
  return (moment) => {
    if (format === null || zone !== stationZone) {
      zone = stationZone;
      format = new Intl.DateTimeFormat(locale, { ...options, timeZone: zone ?? "UTC" });
    }
    const ms = new Date(moment).getTime();
    return format.format(zone === null ? ms + offsetMs(ms) : ms);
  };
}

/** The date of a time, as 2026-01-31. */
export const isoDay = formatter("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit" });
