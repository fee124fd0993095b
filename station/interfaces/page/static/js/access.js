// Access: passwords and codes of lower roles, and access tokens of scripts.

import { get, getSession, post, put, remove } from "./api.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { dateAndTime } from "./format.js";
import { t } from "./words.js";

const ROLES_ASCENDING = ["driver", "owner", "installer", "service"];

export async function openAccess() {
  const [session, accounts, tokens] = await Promise.all([getSession(), get("/api/accounts"), get("/api/access-tokens")]);
  const rank = ROLES_ASCENDING.indexOf(session.role);
  const managedRoles = ROLES_ASCENDING.filter((_, index) => index < rank || (session.local && index === rank));
  find("#access-roles").replaceChildren(...managedRoles.map((role) => roleItem(role, accounts[role])));
  const items = tokens.map(tokenItem);
  find("#access-tokens").replaceChildren(...(items.length > 0 ? items : [make("li", { class: "empty" }, t("access.no-tokens"))]));
}

function roleItem(role, account) {
  const codeButton = make("button", { type: "button" }, t("access.code"));
  runOnClick(codeButton, async () => {
    const created = await post(`/api/accounts/${role}/code`);
    setText(find("#access-code-text"), t("access.code-text", { role: t(`role.${role}`), days: created.days }));
    setText(find("#access-code-value"), created.code);
    show(find("#access-code"), true);
  });
  const stateKey = account.has_password ? "access.has-password" : account.awaits_code ? "access.awaits-code" : "access.no-password";
  const state = make("span", { class: account.has_password ? "pill on" : "pill" }, t(stateKey));
  return make(
    "li",
    { class: "wraps" },
    make("div", { class: "row" }, make("strong", {}, t(`role.${role}`)), state),
    codeButton,
  );
}

function tokenItem(token) {
  const deleteButton = make("button", { type: "button", class: "quiet", "aria-label": `${t("shell.delete")}: ${token.name}` }, t("shell.delete"));
  runOnClick(deleteButton, async () => {
    await remove(`/api/access-tokens/${encodeURIComponent(token.name)}`);
    await openAccess();
  });
  const validity = t("access.until", { role: t(`role.${token.role}`), until: dateAndTime(token.expires_at) });
  return make("li", {}, make("div", {}, make("strong", {}, token.name), make("p", { class: "muted small" }, validity)), deleteButton);
}

find("#access-password").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const problem = find("#access-problem");
  setText(problem, "");
  try {
    const { role } = await getSession();
    await put(`/api/accounts/${role}/password`, Object.fromEntries(new FormData(form)));
    form.reset();
    toast(t("shell.saved"));
  } catch (error) {
    setText(problem, error.status === 403 ? t("sign-in.wrong") : error.status === 422 ? t("first.rules") : error.message);
  }
});

find("#access-new-token").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { token } = await post("/api/access-tokens", Object.fromEntries(new FormData(event.target)));
    setText(find("#access-token-value"), token);
    show(find("#access-token"), true);
    event.target.reset();
    await openAccess();
  } catch (error) {
    toast(error.message);
  }
});
