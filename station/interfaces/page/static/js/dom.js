// Finds and creates elements, and shows short messages; texts are only inserted as text, never as HTML.

export const find = (selector, within = document) => within.querySelector(selector);

/** Create an element with attributes, listeners (`onclick`) and children, which are elements or texts. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set the text of an element, only if it differs: screen readers would read it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, visible) {
  element.hidden = !visible;
}

/** Show a message that disappears after some seconds. */
export function toast(text) {
  const message = make("p", { class: "toast" }, text);
  find("#toasts").append(message);
  setTimeout(() => message.remove(), 6000);
}

/** Run an action on click, one at a time, and show its error. */
export function runOnClick(button, action) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await action();
    } catch (error) {
      toast(error.message);
    } finally {
      button.disabled = false;
    }
  });
}

/** Download a text as a file. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
