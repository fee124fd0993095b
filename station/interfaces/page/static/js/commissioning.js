// The commissioning page: navigation through the steps, and the content of the open step.

import { find } from "./dom.js";
import { openBreakerStep, openGridContactStep, openLimitsStep } from "./commissioning/inputs.js";
import { setUpClampsStep } from "./commissioning/clamps.js";
import { setUpEndStep } from "./commissioning/end.js";
import { activateForms } from "./commissioning/forms.js";
import { setUpIdentityStep, setUpSiteStep } from "./commissioning/place.js";
import { openMeterStep, setUpMeterStep } from "./commissioning/meter.js";
import { setUpNetworkStep } from "./commissioning/network.js";
import { activateSettingsForms, openSettings } from "./commissioning/settings.js";
import { setUpSessionStep } from "./commissioning/session.js";
import { setUpShuntStep } from "./commissioning/shunt.js";
import { loadSteps } from "./commissioning/steps.js";
import { startNavigation } from "./commissioning/way.js";
import { setUpWiringStep } from "./commissioning/wiring.js";

const openHandlers = {
  breaker: openBreakerStep,
  meter: openMeterStep,
  "grid-contact": openGridContactStep,
  limits: openLimitsStep,
};

activateForms();
activateSettingsForms();
setUpIdentityStep();
setUpSiteStep();
setUpNetworkStep();
setUpWiringStep();
setUpMeterStep();
setUpClampsStep();
setUpShuntStep();
setUpSessionStep();
setUpEndStep();
await loadSteps();
startNavigation((name) => {
  if (find(`#${name} [data-patch]`) !== null) openSettings();
  openHandlers[name]?.();
});
