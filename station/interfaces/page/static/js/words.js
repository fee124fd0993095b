// The texts of the page's language; `{name}` is a placeholder for a value.

import { root } from "./root.js";

export const language = document.documentElement.lang;
const texts = await (await fetch(`${root}/words/${language}.json`)).json();

export const locale = language === "en" ? "en-GB" : language;
const plurals = new Intl.PluralRules(locale);

/** A text by its key. */
export function t(key, values = {}) {
  const text = texts[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (placeholder, name) => values[name] ?? placeholder);
}

/** A text about `count` things: that for the number's plural category in the language, where it differs. */
export function pluralText(key, count, values) {
  const form = `${key}.${plurals.select(count)}`;
  return t(form in texts ? form : key, values);
}

/** Whether a text has this key. */
export const hasText = (key) => key in texts;
