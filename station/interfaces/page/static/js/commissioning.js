// The commissioning page: navigation through the steps, and the content of the open step.

import { find } from "./dom.js";
import { openBreaker, openContact, openLimits } from "./commissioning/inputs.js";
import { clampsStep } from "./commissioning/clamps.js";
import { endStep } from "./commissioning/end.js";
import { forms } from "./commissioning/forms.js";
import { identityStep, siteStep } from "./commissioning/place.js";
import { meterStep, openMeterStep } from "./commissioning/meter.js";
import { networkStep } from "./commissioning/network.js";
import { openSettings, settingsForms } from "./commissioning/settings.js";
import { sessionStep } from "./commissioning/session.js";
import { shuntStep } from "./commissioning/shunt.js";
import { load } from "./commissioning/steps.js";
import { way } from "./commissioning/way.js";
import { wiringStep } from "./commissioning/wiring.js";

const opened = {
  breaker: openBreaker,
  meter: openMeterStep,
  "grid-contact": openContact,
  limits: openLimits,
};

forms();
settingsForms();
identityStep();
siteStep();
networkStep();
wiringStep();
meterStep();
clampsStep();
shuntStep();
sessionStep();
endStep();
await load();
way((name) => {
  if (find(`#${name} [data-patch]`) !== null) openSettings();
  opened[name]?.();
});
