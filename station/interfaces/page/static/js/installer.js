// The page of installer and service: inputs, outputs, messages and logs of the station.

import { openAccess } from "./access.js";
import { openFirmware } from "./firmware.js";
import { openLive } from "./io.js";
import { openLog } from "./log.js";
import { openMeter } from "./meter-frames.js";
import { openModel } from "./model.js";
import { openMonitoring } from "./monitoring.js";
import { openOcpp } from "./ocpp-frames.js";
import { openSafeStart } from "./safe-start.js";
import { tabs } from "./tabs.js";
import { openUnreadable } from "./unreadable.js";

const panels = {
  live: openLive,
  meter: openMeter,
  ocpp: openOcpp,
  model: openModel,
  monitoring: openMonitoring,
  log: openLog,
  access: openAccess,
};

openFirmware();
openSafeStart();
openUnreadable();
tabs((name) => panels[name]());
