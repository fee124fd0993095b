// Identity and location of the station: the identity from the label's code, and the location of this phone.

import { find, show, toast } from "../dom.js";
import { useZone } from "../station-time.js";
import { fillTimeZone } from "../time-zone.js";
import { t } from "../words.js";
import { stepOf, watchSteps } from "./steps.js";

export function setUpIdentityStep() {
  const scanned = new URLSearchParams(location.search).get("identity");
  if (scanned !== null) find("#identity-identity").value = scanned;
  keepAsFound("identity");
}

export function setUpSiteStep() {
  keepAsFound("site");
  fillTimeZone(find("#site-time-zone"));
  showTimesInTheZoneThatIsSet();
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
function showTimesInTheZoneThatIsSet() {
  let former = null;
  watchSteps(() => {
    const zone = stepOf("site").evidence?.time_zone ?? "";
    if (former !== null && zone !== former) useZone(zone);
    former = zone;
  });
}

/** Fill an empty form with the stored result, so that another device can continue. */
function keepAsFound(name) {
  watchSteps(() => {
    const form = find(`form[data-try="${name}"]`);
    for (const [key, one] of Object.entries(stepOf(name)?.evidence ?? {})) {
      const field = form.elements[key];
      if (field !== undefined && field.value === "" && field !== document.activeElement) field.value = one;
    }
  });
}
