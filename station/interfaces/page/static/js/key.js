// The public key of a meter, with which a driver verifies a bill; loaded when its section is opened.

import { get } from "./api.js";
import { setText, show } from "./dom.js";
import { root } from "./root.js";

/** Show the key of an EVSE's meter each time its section is opened, as the meter may have been exchanged. */
export function loadKeyWhenOpened(evseId, elements) {
  elements.key.addEventListener("toggle", async () => {
    if (!elements.key.open) return;
    try {
      const path = `/api/evses/${evseId}/public-key`;
      const key = await get(path);
      setText(elements.keyProblem, "");
      setText(elements.keyValue, key.hex);
      elements.keyPicture.src = `${root}${path}.svg#${key.fingerprint}`; // another address for another key
      show(elements.keyShown, true);
    } catch (error) {
      setText(elements.keyProblem, error.message);
      show(elements.keyShown, false);
    }
  });
}
