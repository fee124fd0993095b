// Identity and location of the station: the identity from the label's code, and the location of this phone.

import { find, show, toast } from "../dom.js";
import { useZone } from "../station-time.js";
import { fillTimeZone } from "../time-zone.js";
import { t } from "../words.js";
import { stepOf, watchSteps } from "./steps.js";

export function setUpIdentityStep() {
  const scanned = new URLSearchParams(location.search).get("identity");
  if (scanned !== null) find("#identity-identity").value = scanned;
  fillFromStoredResult("identity");
}

export function setUpSiteStep() {
  fillFromStoredResult("site");
  fillTimeZone(find("#site-time-zone"));
  applySavedTimeZone();
  const button = find("#site-here");
  show(button, isSecureContext && "geolocation" in navigator);
  button.addEventListener("click", () => {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        find("#site-latitude").value = coords.latitude.toFixed(5);
        find("#site-longitude").value = coords.longitude.toFixed(5);
      },
      () => toast(t("site.nowhere")),
    );
  });
}

/** Apply a time zone that is saved here at once: the page was loaded with the previous one. */
function applySavedTimeZone() {
  let previousZone = null;
  watchSteps(() => {
    const zone = stepOf("site").evidence?.time_zone ?? "";
    if (previousZone !== null && zone !== previousZone) useZone(zone);
    previousZone = zone;
  });
}

/** Fill an empty form with the stored result, so that another device can continue. */
function fillFromStoredResult(name) {
  watchSteps(() => {
    const form = find(`form[data-try="${name}"]`);
    for (const [key, value] of Object.entries(stepOf(name)?.evidence ?? {})) {
      const field = form.elements[key];
      if (field !== undefined && field.value === "" && field !== document.activeElement) field.value = value;
    }
  });
}
