// Requests to the local API: reads, changes (with the CSRF token, which pages of other sites do not know), and errors as sentences.

import { root } from "./root.js";
import { language, t } from "./words.js";

const MAXIMUM_WAIT_MS = 5000;

let session = null;
const lastChanges = new Map(); // by path: the change that was sent last; it never fails

/** The signed-in role, and the CSRF value that each change must send. */
export function getSession() {
  session ??= get("/api/session").catch((error) => {
    session = null; // the next request asks again
    throw error;
  });
  return session;
}

/** A request that was refused, with its HTTP status and body; status 0 if the station cannot be reached. */
export class ApiError extends Error {
  constructor(status, detail, body) {
    super(detail);
    this.status = status;
    this.body = body;
  }
}

export const get = (path) => request("GET", path);
export const post = (path, body) => requestChange("POST", path, body);
export const put = (path, body) => requestChange("PUT", path, body);
export const patch = (path, body) => requestChange("PATCH", path, body);
/** Send a file unchanged as the body. */
export const putFile = (path, file) => requestChange("PUT", path, file);
export const remove = (path, body) => requestChange("DELETE", path, body);

/** Changes of one path arrive in the order in which they were made: each waits for the one before it, if that does not hang. */
function requestChange(method, path, body) {
  const earlier = lastChanges.get(path);
  const before = earlier === undefined ? Promise.resolve() : Promise.race([earlier, delay(MAXIMUM_WAIT_MS)]);
  const change = before.then(() => requestSigned(method, path, body));
  const ended = change.catch(() => {}).then(() => lastChanges.get(path) === ended && lastChanges.delete(path));
  lastChanges.set(path, ended);
  return change;
}

const delay = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function requestSigned(method, path, body) {
  const { csrf } = await getSession().catch(() => ({ csrf: null })); // a station without power has no sessions
  return request(method, path, body, csrf === null ? {} : { "X-Borne-CSRF": csrf });
}

async function request(method, path, body, headers = {}) {
  const isRaw = body === undefined || body instanceof Blob;
  const encodedBody = isRaw ? body : JSON.stringify(body);
  if (!isRaw) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(root + path, { method, headers, body: encodedBody, credentials: "same-origin" });
  } catch {
    throw new ApiError(0, t("error.unreachable"), null);
  }
  const content = response.headers.get("Content-Type")?.includes("json") ? await response.json() : await response.text();
  if (!response.ok) throw new ApiError(response.status, errorText(response, content), content);
  return content;
}

function errorText({ status, headers }, content) {
  if (status === 401) return t("error.signed-out");
  if (status === 503 && content?.starting === true) return t("error.starting");
  if (status === 429) return t("error.wait", { seconds: headers.get("Retry-After") ?? "?" });
  const detail = content?.detail;
  if (Array.isArray(detail)) return detail.map((issue) => `${issue.loc.at(-1)}: ${issue.msg}`).join("; ");
  if (typeof detail !== "string") return t("error.status", { status });
  return language === "en" ? detail : t("error.refused", { detail }); // the API gives its reasons in English
}
