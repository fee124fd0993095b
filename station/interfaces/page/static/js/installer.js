// The page of installer and service: inputs, outputs, messages and logs of the station.

import { openAccess } from "./access.js";
import { activateFirmwareForm } from "./firmware.js";
import { openLive } from "./io.js";
import { openLog } from "./log.js";
import { openMeter } from "./meter-frames.js";
import { openModel } from "./model.js";
import { openMonitoring } from "./monitoring.js";
import { openOcpp } from "./ocpp-frames.js";
import { watchSafeStart } from "./safe-start.js";
import { activateTabs } from "./tabs.js";
import { watchUnreadableRows } from "./unreadable.js";

const panels = {
  live: openLive,
  meter: openMeter,
  ocpp: openOcpp,
  model: openModel,
  monitoring: openMonitoring,
  log: openLog,
  access: openAccess,
};

activateFirmwareForm();
watchSafeStart();
watchUnreadableRows();
activateTabs((name) => panels[name]());
