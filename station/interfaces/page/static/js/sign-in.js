// Signing in with a password, and setting a first one with a code.

import { ApiError, post } from "./api.js";
import { find, setText } from "./dom.js";
import { root } from "./root.js";
import { t } from "./words.js";

function signInOnSubmit(form, send, wrongKey) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const problem = find("#problem", form);
    const button = find("button[type=submit]", form);
    setText(problem, "");
    button.disabled = true;
    try {
      await send(Object.fromEntries(new FormData(form)));
      location.assign(root + form.dataset.to);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const isIncomplete = error.status === 422 && Array.isArray(error.body?.detail);
      setText(problem, isIncomplete ? t("sign-in.missing") : error.status === 403 ? t(wrongKey) : error.status === 422 ? t("first.rules") : error.message);
      find("#password", form).focus();
    } finally {
      button.disabled = false;
    }
  });
}

signInOnSubmit(find("#sign-in"), ({ role, password }) => post("/api/session", { role, password }), "sign-in.wrong");
signInOnSubmit(
  find("#first-password"),
  ({ role, code, password }) => post(`/api/accounts/${role}/first-password`, { code, password }),
  "first.wrong",
);
