const element = id => document.getElementById(id);
const MAX_LINES = 500;
const later = minutes => new Date(Date.now() + minutes * 60000).toISOString();
const requestId = () => Math.floor(Date.now() / 1000) % 2147483647;
const card = value => ({idToken: value, type: "ISO14443"});
const variable = form => ({component: {name: form.component}, variable: {name: form.variable}});
const number = (name, label, value) => ({name, label, value, type: "number"});
const text = (name, label, value) => ({name, label, value, type: "text"});
const choice = (name, label, ...options) => ({name, label, options});
const EVSE = number("evse", "EVSE", 1), CARD = text("card", "Card", "04A3B2C1D5E680");
const TRANSACTION = {...text("transaction", "Transaction", ""), list: "transactions"};
const COMPONENT = text("component", "Component", "OCPPCommCtrlr");
const VARIABLE = text("variable", "Variable", "HeartbeatInterval");

const ORDERS = [
  ["Start a charge", "RequestStartTransaction", [EVSE, CARD],
    form => ({idToken: card(form.card), remoteStartId: requestId(), evseId: form.evse})],
  ["End a charge", "RequestStopTransaction", [TRANSACTION], form => ({transactionId: form.transaction})],
  ["Limit the current", "SetChargingProfile",
    [EVSE, choice("purpose", "Purpose", "TxDefaultProfile", "TxProfile", "ChargingStationMaxProfile"),
      number("limit", "Limit, A", 10), number("id", "Id of the profile", 1), TRANSACTION],
    form => ({evseId: form.purpose === "ChargingStationMaxProfile" ? 0 : form.evse, chargingProfile: {
      id: form.id, stackLevel: 1, chargingProfilePurpose: form.purpose,
      chargingProfileKind: form.purpose === "TxProfile" ? "Relative" : "Absolute",
      ...(form.purpose === "TxProfile" ? {transactionId: form.transaction} : {}),
      chargingSchedule: [{id: 1, chargingRateUnit: "A",
        ...(form.purpose === "TxProfile" ? {} : {startSchedule: new Date().toISOString()}),
        chargingSchedulePeriod: [{startPeriod: 0, limit: form.limit}]}]}})],
  ["Remove a limit", "ClearChargingProfile", [number("id", "Id of the profile", 1)],
    form => ({chargingProfileId: form.id})],
  ["Read the schedule", "GetCompositeSchedule", [EVSE, number("duration", "Duration, s", 3600)],
    form => ({evseId: form.evse, duration: form.duration, chargingRateUnit: "A"})],
  ["Read a variable", "GetVariables", [COMPONENT, VARIABLE], form => ({getVariableData: [variable(form)]})],
  ["Set a variable", "SetVariables", [COMPONENT, VARIABLE, text("value", "Value", "60")],
    form => ({setVariableData: [{attributeValue: form.value, ...variable(form)}]})],
  ["Report of all variables", "GetBaseReport",
    [choice("base", "Report", "ConfigurationInventory", "FullInventory", "SummaryInventory")],
    form => ({requestId: requestId(), reportBase: form.base})],
  ["Reset", "Reset", [choice("type", "When", "Immediate", "OnIdle")], form => ({type: form.type})],
  ["Reserve", "ReserveNow", [EVSE, CARD, number("id", "Id of the reservation", 1), number("minutes", "Minutes", 15)],
    form => ({id: form.id, evseId: form.evse, idToken: card(form.card), expiryDateTime: later(form.minutes)})],
  ["Cancel a reservation", "CancelReservation", [number("id", "Id of the reservation", 1)],
    form => ({reservationId: form.id})],
  ["Availability", "ChangeAvailability", [EVSE, choice("status", "Status", "Inoperative", "Operative")],
    form => ({operationalStatus: form.status, evse: {id: form.evse}})],
  ["Unlock the connector", "UnlockConnector", [EVSE], form => ({evseId: form.evse, connectorId: 1})],
  ["Local list", "SendLocalList", [number("version", "Version", 1), text("cards", "Cards", "04A3B2C1D5E680")],
    form => ({versionNumber: form.version, updateType: "Full", localAuthorizationList: form.cards.split(/[\s,]+/)
      .filter(Boolean).map(value => ({idToken: card(value), idTokenInfo: {status: "Accepted"}}))})],
  ["Version of the local list", "GetLocalListVersion", [], () => ({})],
  ["Clear the cache of cards", "ClearCache", [], () => ({})],
  ["Trigger a message", "TriggerMessage",
    [choice("message", "Message", "Heartbeat", "StatusNotification", "BootNotification", "MeterValues",
      "TransactionEvent", "LogStatusNotification", "FirmwareStatusNotification"), EVSE],
    form => ({requestedMessage: form.message,
      ...(["StatusNotification", "MeterValues", "TransactionEvent"].includes(form.message)
        ? {evse: {id: form.evse, ...(form.message === "StatusNotification" ? {connectorId: 1} : {})}} : {})})],
  ["Set a monitor", "SetVariableMonitoring",
    [COMPONENT, VARIABLE, choice("type", "Type", "Delta", "UpperThreshold", "LowerThreshold", "Periodic"),
      number("value", "Value", 1), number("severity", "Severity, 0 to 9", 5)],
    form => ({setMonitoringData: [{type: form.type, value: form.value, severity: form.severity, ...variable(form)}]})],
  ["Remove a monitor", "ClearVariableMonitoring", [number("id", "Id of the monitor", 1)], form => ({id: [form.id]})],
  ["Show a message", "SetDisplayMessage",
    [number("id", "Id of the message", 1), choice("priority", "Priority", "AlwaysFront", "InFront", "NormalCycle"),
      text("content", "Text", "Hello")],
    form => ({message: {id: form.id, priority: form.priority, message: {format: "UTF8", content: form.content}}})],
  ["Remove a message", "ClearDisplayMessage", [number("id", "Id of the message", 1)], form => ({id: form.id})],
  ["Cost of a charge", "CostUpdated", [TRANSACTION, number("cost", "Cost", 1.5)],
    form => ({transactionId: form.transaction, totalCost: form.cost})],
  ["Upload a log", "GetLog",
    [choice("type", "Log", "DiagnosticsLog", "SecurityLog"), text("location", "Folder", "http://127.0.0.1:8000/")],
    form => ({logType: form.type, requestId: requestId(), log: {remoteLocation: form.location}})],
  ["Update the firmware", "UpdateFirmware", [text("location", "Image", "http://127.0.0.1:8000/firmware.bin")],
    form => ({requestId: requestId(), firmware: {location: form.location, retrieveDateTime: new Date().toISOString()}})],
];

let lastFrame = 0;

function field(order, {name, label, value, type, options, list}) {
  const holder = document.createElement("p"), caption = document.createElement("label");
  const input = document.createElement(options ? "select" : "input");
  if (options) for (const option of options) input.add(new Option(option));
  else Object.assign(input, {type, value, step: "any"});
  if (list) input.setAttribute("list", list);
  input.name = name;
  input.id = `${order}-${name}`;
  caption.htmlFor = input.id;
  caption.textContent = label + " ";
  holder.append(caption, input);
  return holder;
}

function valuesOf(form) {
  return Object.fromEntries([...form.elements].filter(input => input.name)
    .map(input => [input.name, input.type === "number" ? Number(input.value) : input.value]));
}

async function send(action, payload) {
  const identity = element("station").value;
  if (!identity) { element("answer").textContent = "no station is connected"; return; }
  element("answer").textContent = `${action}: waiting for the answer`;
  try {
    const response = await fetch(`api/stations/${encodeURIComponent(identity)}/call`, {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({action, payload})});
    element("answer").textContent = `${action}: ${JSON.stringify(await response.json(), null, 2)}`;
  } catch (error) {
    element("answer").textContent = `${action}: the CSMS does not answer`;
  }
}

function addOrder(title, action, fields, onSubmit) {
  const details = document.createElement("details"), summary = document.createElement("summary");
  const form = document.createElement("form"), button = document.createElement("button");
  summary.textContent = title;
  button.textContent = "Send" + (action ? ` ${action}` : "");
  form.append(...fields.map(one => field(action || "any", one)), button);
  form.addEventListener("submit", event => {
    event.preventDefault();
    onSubmit(valuesOf(form));
  });
  details.append(summary, form);
  element("orders").append(details);
}

function showStations(stations) {
  const body = document.createElement("tbody");
  body.id = "stations";
  for (const station of stations) {
    const row = body.insertRow();
    row.insertCell().textContent = station.identity;
    row.insertCell().textContent = `${station.vendor} ${station.model}`;
    row.insertCell().textContent = station.firmware;
    row.insertCell().textContent = station.connectors
      .map(({evse, connector, status}) => `${evse}.${connector} ${status}`).join(", ");
    row.insertCell().textContent = station.transactions.map(one => `${one.id} (EVSE ${one.evse ?? "?"}, ` +
      `${one.charging_state ?? "?"}${one.power_w === null ? "" : `, ${(one.power_w / 1000).toFixed(1)} kW`})`).join(", ");
  }
  element("stations").replaceWith(body);
  const select = element("station"), chosen = select.value, names = stations.map(station => station.identity);
  if (names.join() !== [...select.options].map(option => option.value).join()) {
    select.replaceChildren(...names.map(name => new Option(name)));
    if (names.includes(chosen)) select.value = chosen;
    showNoFrames();
  }
  const running = stations.filter(station => station.identity === select.value).flatMap(one => one.transactions);
  element("transactions").replaceChildren(...running.map(one => new Option(one.id)));
  for (const input of document.querySelectorAll('input[name="transaction"]'))
    if (!input.value && running.length) input.value = running[0].id;
}

function showNoFrames() {
  lastFrame = 0;
  element("frames").textContent = "";
}

function showFrames(frames) {
  const wanted = element("text").value;
  const lines = frames.filter(frame => frame.text.includes(wanted)).map(frame =>
    `${frame.at.slice(11, 19)} ${frame.direction === "in" ? "→" : "←"} ${frame.text}`);
  if (frames.length) lastFrame = frames.at(-1).number;
  if (lines.length)
    element("frames").textContent = lines.reverse().join("\n") + "\n" +
      element("frames").textContent.split("\n").slice(0, MAX_LINES).join("\n");
}

async function update() {
  try {
    showStations((await (await fetch("api/stations")).json()).stations);
    const station = element("station").value;
    if (station && !element("paused").checked) {
      const after = lastFrame;
      const {frames} = await (await fetch("api/frames?" + new URLSearchParams({after, station}))).json();
      if (after === lastFrame && station === element("station").value) showFrames(frames); // else another choice was made
    }
    element("problem").textContent = "";
  } catch (error) {
    element("problem").textContent = "The CSMS does not answer: it has probably ended.";
  }
  setTimeout(update, 500);
}

const transactions = document.createElement("datalist");
transactions.id = "transactions";
document.body.append(transactions);
for (const [title, action, fields, payload] of ORDERS)
  addOrder(title, action, fields, form => send(action, payload(form)));
addOrder("Any request", "", [text("action", "Action", "DataTransfer"), text("payload", "Payload", '{"vendorId": "x"}')],
  form => {
    try {
      send(form.action, JSON.parse(form.payload));
    } catch (error) {
      element("answer").textContent = `the payload is no JSON: ${error.message}`;
    }
  });
element("station").addEventListener("change", showNoFrames);
element("text").addEventListener("change", showNoFrames);
update();
