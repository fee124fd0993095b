// The public key of a meter, with which a driver verifies a bill; loaded when its section is opened.

import { get } from "./api.js";
import { say, show } from "./dom.js";
import { root } from "./root.js";

/** Show the key of an EVSE's meter whenever its place is opened: the meter may be another one since. */
export function openKey(id, place) {
  place.key.addEventListener("toggle", async () => {
    if (!place.key.open) return;
    try {
      const path = `/api/evses/${id}/public-key`;
      const key = await get(path);
      say(place.keyProblem, "");
      say(place.keyValue, key.hex);
      place.keyPicture.src = `${root}${path}.svg?${key.fingerprint}`;
      show(place.keyShown, true);
    } catch (error) {
      say(place.keyProblem, error.message);
      show(place.keyShown, false);
    }
  });
}
