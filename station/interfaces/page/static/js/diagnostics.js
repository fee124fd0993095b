// Downloads diagnostics in one file, with the data that this user's role may see.

import { get } from "./api.js";
import { download } from "./dom.js";

const PARTS = {
  status: "/api/status",
  inputs_and_outputs: "/api/io",
  load_management: "/api/load-management",
  commissioning: "/api/commissioning/steps",
  device_model: "/api/variables",
  monitors: "/api/monitors",
  device_events: "/api/device-events",
  charging_profiles: "/api/profiles",
  certificates: "/api/certificates",
  security_events: "/api/security-events?most=200",
  register_journal: "/api/metering/journal",
  meter_frames: "/api/meter-frames",
  ocpp_frames: "/api/frames",
  log: "/api/logs?most=5000",
};

/** Download all parts as one JSON file; a part that cannot be loaded contains the reason instead. */
export async function downloadDiagnostics() {
  const file = { made_at: new Date().toISOString() };
  for (const [name, path] of Object.entries(PARTS)) {
    try {
      const content = await get(path);
      file[name] = typeof content === "string" ? content.split("\n") : content;
    } catch (error) {
      file[name] = { missing: error.message };
    }
  }
  const station = file.status.identity ?? "station";
  download(`diagnostics-${station}.json`, "application/json", JSON.stringify(file, null, 1));
}
