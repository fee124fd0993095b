// The local API: reads, changes (with the token that pages of other sites do not know), and errors as sentences.

import { root } from "./root.js";
import { language, t } from "./words.js";

let session = null;

/** The signed-in role, and the CSRF value that each change must send. */
export function getSession() {
  session ??= get("/api/session");
  return session;
}

export class ApiError extends Error {
  constructor(status, detail, body) {
    super(detail);
    this.status = status;
    this.body = body;
  }
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => change("POST", path, body);
export const put = (path, body) => change("PUT", path, body);
export const patch = (path, body) => change("PATCH", path, body);
/** Load a file without decoding it. */
export const putFile = (path, file) => change("PUT", path, file);
export const remove = (path, body) => change("DELETE", path, body);

async function change(method, path, body) {
  const { csrf } = await getSession();
  return ask(method, path, body, csrf === null ? {} : { "X-Borne-CSRF": csrf });
}

async function ask(method, path, body, headers = {}) {
  const whole = body === undefined || body instanceof Blob;
  const sent = whole ? body : JSON.stringify(body);
  if (!whole) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(root + path, { method, headers, body: sent, credentials: "same-origin" });
  } catch {
    throw new ApiError(0, t("error.unreachable"), null);
  }
  const content = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw new ApiError(answer.status, sentence(answer, content), content);
  return content;
}

function sentence({ status, headers }, content) {
  if (status === 401) return t("error.signed-out");
  if (status === 503 && content?.starting === true) return t("error.starting");
  if (status === 429) return t("error.wait", { seconds: headers.get("Retry-After") ?? "?" });
  const detail = content?.detail;
  if (Array.isArray(detail)) return detail.map((one) => `${one.loc.at(-1)}: ${one.msg}`).join("; ");
  if (typeof detail !== "string") return t("error.status", { status });
  return language === "en" ? detail : t("error.refused", { detail }); // the API gives its reasons in English
}
