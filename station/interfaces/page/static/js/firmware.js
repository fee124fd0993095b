// Uploads a firmware image, then has it verified and installed like one that a CSMS orders.

import { get, post, putFile } from "./api.js";
import { find, setText, show } from "./dom.js";
import { t } from "./words.js";

const MIB = 1 << 20;

/** Activate the upload form, which only service has; the state of an update is shown with the software. */
export function activateFirmwareForm() {
  const form = find("#firmware");
  if (form === null) return;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    install(form);
  });
}

async function install(form) {
  const problem = find("#firmware-problem");
  const button = find("button", form);
  const { image, signature, certificate } = form.elements;
  setText(problem, "");
  button.disabled = true;
  show(find("#firmware-working"), true);
  try {
    const { most_bytes: maxBytes } = await get("/api/firmware");
    if (image.files[0].size > maxBytes) throw new Error(t("firmware.too-large", { size: Math.floor(maxBytes / MIB) }));
    await putFile("/api/firmware/image", image.files[0]);
    await post("/api/firmware", {
      signature: signature.files.length > 0 ? await base64(signature.files[0]) : null,
      signing_certificate: certificate.files.length > 0 ? await certificate.files[0].text() : null,
    });
    form.reset();
  } catch (error) {
    setText(problem, error.message);
  } finally {
    show(find("#firmware-working"), false);
    button.disabled = false;
  }
}

/** The content of a signature file as base64; it contains bytes, as signing tools write them, or base64. */
async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = String.fromCharCode(...bytes);
  return /^[A-Za-z0-9+/=\s]+$/.test(text) ? text.replace(/\s+/g, "") : btoa(text);
}
