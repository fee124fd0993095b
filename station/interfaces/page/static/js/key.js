// The public key of a meter, with which a driver verifies a bill; loaded when its section is opened.

import { get } from "./api.js";
import { setText, show } from "./dom.js";
import { root } from "./root.js";

/** Show the key of an EVSE's meter each time its section is opened, as the meter may have been exchanged. */
export function openKey(id, place) {
  place.key.addEventListener("toggle", async () => {
    if (!place.key.open) return;
    try {
      const path = `/api/evses/${id}/public-key`;
      const key = await get(path);
      setText(place.keyProblem, "");
      setText(place.keyValue, key.hex);
      place.keyPicture.src = `${root}${path}.svg#${key.fingerprint}`; // another address for another key
      show(place.keyShown, true);
    } catch (error) {
      setText(place.keyProblem, error.message);
      show(place.keyShown, false);
    }
  });
}
