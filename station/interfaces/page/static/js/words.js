// The texts of the page's language; `{name}` is a placeholder for a value.

import { root } from "./root.js";

export const language = document.documentElement.lang;
const texts = await (await fetch(`${root}/words/${language}.json`)).json();

export const locale = language === "en" ? "en-GB" : language;
const plurals = new Intl.PluralRules(locale);

/** The text of a key, with its placeholders replaced; the key itself if there is no such text. */
export function t(key, values = {}) {
  const text = texts[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (placeholder, name) => values[name] ?? placeholder);
}

/** The text of a key for `count` things: the form for the number's plural category in the language, if it has one. */
export function pluralText(key, count, values) {
  const form = `${key}.${plurals.select(count)}`;
  return t(form in texts ? form : key, values);
}

/** Whether there is a text for this key. */
export const hasText = (key) => key in texts;
