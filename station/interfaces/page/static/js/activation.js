// Activates the station; afterwards it serves everyone who may charge.

import { post } from "./api.js";
import { toast } from "./dom.js";
import { t } from "./words.js";

export async function activateStation() {
  try {
    await post("/api/activation");
  } catch (error) {
    toast(error.status === 409 ? t("activation.open") : error.message);
  }
}
