// The page of simulated hardware: vehicles, cards, faults, house, clock, power, link, misbehaviour, recording, messages.

import { get, post, remove } from "./static/js/api.js";
import { download, find, make, runOnClick, setText, show, toast } from "./static/js/dom.js";
import { reloadStatus, watchStatus } from "./static/js/live.js";
import { showExchanges } from "./static/js/ocpp-exchanges.js";

const SHOWN_MESSAGES = 60;
let readers = [];
let requestedWorld = 0; // number of the state of the world that was asked for last
let shownWorld = 0; // number of the one that is shown
let settingHouse = 0; // changes of the house on their way: the sliders are ahead of the state

for (const card of document.querySelectorAll("[data-evse]")) activate(card, card.dataset.evse);
activateWorld();
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
  runOnSubmit(find("[data-card]", card), ({ card: uid }) => present(evse, uid.value.trim()));
  const faultForm = find("[data-fault]", card);
  const fault = () => ({ evse: Number(evse), code: faultForm.elements.code.value });
  runOnSubmit(faultForm, () => post("/api/sim/faults", fault()));
  runOnClick(find("[data-clear]", card), async () => {
    await remove("/api/sim/faults", fault());
    reloadStatus();
  });
  runOnClick(find("[data-unplug]", card), () => change(`/api/sim/evses/${evse}/unplug`, {}));
  for (const button of card.querySelectorAll("[data-vehicle]")) {
    runOnClick(button, () => change(`/api/sim/evses/${evse}/vehicle`, JSON.parse(button.dataset.vehicle)));
  }
}

/** Present a card at the reader of the station, or, if it has no simulated one, as its page does. */
function present(evse, uid) {
  return readers.length > 0 && /^([0-9a-f]{8}|[0-9a-f]{14}|[0-9a-f]{20})$/i.test(uid)
    ? post("/api/sim/reader", { name: readers[Math.min(evse, readers.length) - 1], uid })
    : post(`/api/evses/${evse}/token`, { id_token: uid });
}

async function activateWorld() {
  for (const button of document.querySelectorAll("[data-post]")) {
    runOnClick(button, () => change(button.dataset.post, JSON.parse(button.dataset.body)));
  }
  const clock = find("#clock");
  runOnSubmit(clock, ({ rate }) => post("/api/sim/clock", { rate: Number(rate.value) }));
  runOnClick(find("#advance"), () => change("/api/sim/clock", { advance_s: Number(clock.elements.minutes.value) * 60 }));
  for (const slider of document.querySelectorAll("#house input[type=range]")) {
    slider.addEventListener("input", () => setText(find(`output[for="${slider.id}"]`), `${slider.value} A`));
    slider.addEventListener("change", () => setHouse(slider.id === "sun").catch((error) => toast(error.message)));
  }
  find("#contact").addEventListener("change", ({ target }) => {
    post("/api/sim/grid", { contact: target.checked }).catch((error) => toast(error.message));
  });
  runOnSubmit(find("#misbehaviour"), ({ way, sender, action, times }) =>
    post("/api/sim/misbehaviour", {
      way: way.value,
      sender: sender.value,
      times: Number(times.value),
      ...(action.value === "" ? {} : { action: action.value.trim() }),
    }),
  );
  runOnClick(find("#behave"), () => remove("/api/sim/misbehaviour"));
  runOnClick(find("#record"), async () => {
    if (find("#recorded").hidden) await post("/api/sim/recording", {});
    else {
      download("recorded.toml", "application/toml", await get("/api/sim/recording/scenario"));
      await remove("/api/sim/recording");
    }
    await showWorld();
  });
  watchStatus(() => showWorld().catch(() => {}));
  const reload = showExchanges(find("#frames"), { extras: stepButton, most: SHOWN_MESSAGES });
  for (const field of document.querySelectorAll("[list=cards]")) field.addEventListener("focus", () => showCards().catch(() => {}));
  await Promise.allSettled([showWorld(), reload()]); // without power, both wait for the next event
}

async function showCards() {
  const { cards } = await get("/api/sim/auth/cards");
  find("#cards").replaceChildren(...cards.map((card) => make("option", { value: card })));
}

/** Show what the simulated world is like; a slider that somebody moves stays as it is. */
async function showWorld() {
  const number = ++requestedWorld;
  const world = await get("/api/sim/state");
  if (number < shownWorld) return; // a newer one is shown already
  shownWorld = number;
  readers = world.readers;
  show(find("#house"), world.house !== null);
  if (world.house !== null && settingHouse === 0) showHouse(world.house);
  if (document.activeElement !== find("#contact")) find("#contact").checked = world.contact_closed;
  show(find("#recorded"), world.recording);
  setText(find("#record"), world.recording ? "End and save" : "Record");
  const parts = [`clock × ${world.rate}`];
  if (world.misbehaviour > 0) parts.push(`rules of misbehaviour: ${world.misbehaviour}`);
  if (world.recording) parts.push("recording");
  if (world.house !== null) {
    setText(find("#grid"), `At the grid meter: ${world.house.currents_a.map((current) => current.toFixed(1)).join(" / ")} A`);
  }
  setText(find("#world-state"), parts.join(" · "));
}

/** Show the loads that the sliders set; others, such as those of a test bench, stay as they are. */
function showHouse(house) {
  for (const phase of [1, 2, 3]) {
    show(find(`[data-phase="${phase}"]`), phase <= house.phases);
    setSlider(`load-${phase}`, house.loads.panel?.[phase - 1] ?? 0);
  }
  setSlider("sun", -(house.loads.sun?.[0] ?? 0));
}

function setSlider(id, amperes) {
  const slider = find(`#${id}`);
  if (document.activeElement === slider) return;
  slider.value = amperes;
  setText(find(`output[for="${id}"]`), `${slider.value} A`);
}

async function setHouse(isSun) {
  const currents = (isSun ? ["sun", "sun", "sun"] : ["load-1", "load-2", "load-3"]).map((id) => Number(find(`#${id}`).value));
  const load = currents.some((current) => current !== 0) ? currents.map((current) => (isSun ? -current : current)) : null;
  settingHouse += 1;
  try {
    await post("/api/sim/grid", { loads: { [isSun ? "sun" : "panel"]: load } });
  } finally {
    settingHouse -= 1;
    shownWorld = requestedWorld + 1; // what was asked for before is out of date
  }
  await showWorld();
}

/** A button that copies a request as a step of a scenario; none for what is no request. */
function stepButton(exchange) {
  if (exchange.outcome === "none" || exchange.note !== "") return [];
  const button = make("button", { type: "button" }, "Copy as a scenario step");
  runOnClick(button, async () => {
    const step = await get(`/api/sim/frames/${exchange.number}/step`);
    if (navigator.clipboard === undefined) return download("step.toml", "application/toml", step); // only https has one
    await navigator.clipboard.writeText(step);
    toast("Copied");
  });
  return [button];
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
