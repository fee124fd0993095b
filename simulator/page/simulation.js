// The page of simulated hardware: plugs vehicles in, leads their sessions, and presents cards.

import { post } from "./static/js/api.js";
import { find, runOnClick, setText, show, toast } from "./static/js/dom.js";
import { reloadStatus, watchStatus } from "./static/js/live.js";

for (const card of document.querySelectorAll("[data-evse]")) activate(card, card.dataset.evse);
watchStatus((status) => {
  for (const evse of status.evses) {
    const card = find(`[data-evse="${evse.id}"]`);
    if (card !== null) setText(find("[data-state]", card), stateText(evse));
  }
});

function activate(card, evse) {
  const plugForm = find("[data-plug]", card);
  plugForm.elements.communicates?.addEventListener("change", ({ target }) => show(find("[data-communication]", card), target.checked));
  runOnSubmit(plugForm, async () => post(`/api/sim/evses/${evse}/plug`, { ev: await vehicleOf(plugForm.elements) }));
  runOnSubmit(find("[data-card]", card), ({ card: uid }) => post(`/api/evses/${evse}/token`, { id_token: uid.value.trim() }));
  runOnClick(find("[data-unplug]", card), () => change(`/api/sim/evses/${evse}/unplug`, {}));
  for (const button of card.querySelectorAll("[data-vehicle]")) {
    runOnClick(button, () => change(`/api/sim/evses/${evse}/vehicle`, JSON.parse(button.dataset.vehicle)));
  }
}

async function vehicleOf(fields) {
  const vehicle = {
    phases: Number(fields.phases.value),
    max_current_a: Number(fields.max_current_a.value),
    battery_wh: Number(fields.battery_kwh.value) * 1000,
    soc: Number(fields.soc.value) / 100,
  };
  if (fields.communicates?.checked) vehicle.iso15118 = await communicationOf(fields);
  return vehicle;
}

async function communicationOf(fields) {
  const communication = { reports_soc: fields.reports_soc.checked };
  if (fields.energy_kwh.value !== "") communication.energy_wh = Number(fields.energy_kwh.value) * 1000;
  if (fields.departs_in_h.value !== "") communication.departs_in_s = Math.round(Number(fields.departs_in_h.value) * 3600);
  if (fields.contract.files.length > 0) communication.contract = { chain: await fields.contract.files[0].text() };
  if (fields.fault.value !== "") communication.faults = [fields.fault.value];
  return communication;
}

/** Send a form by `send`, and show its error in the form. */
function runOnSubmit(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = find("[data-problem]", form);
    setText(problem, "");
    try {
      await send(form.elements);
      reloadStatus();
    } catch (error) {
      setText(problem, error.message);
    }
  });
}

async function change(path, body) {
  await post(path, body);
  toast("Done");
  reloadStatus();
}

function stateText(evse) {
  const parts = [evse.charging_state, `${evse.offered_a} A offered`];
  const drawn = evse.meter?.currents_a?.map((current) => current.toFixed(1));
  if (drawn !== undefined) parts.push(`${drawn.join(" / ")} A drawn`);
  if (evse.vehicle !== null) parts.push(evse.vehicle.payment === "contract" ? "communicates, with a contract" : "communicates");
  return parts.join(" · ");
}
