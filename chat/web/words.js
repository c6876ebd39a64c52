/** What the page says, in the language of its reader. A further language is one more file in words/. */

import en from './words/en.js';
import zh from './words/zh.js';

const LANGUAGES = { en, zh };

const preferred = (navigator.languages ?? [navigator.language]).find((tag) => tag.slice(0, 2) in LANGUAGES) ?? 'en';
const words = LANGUAGES[preferred.slice(0, 2)];

/** The reader's language as a tag (`en-GB`), for dates and for the document. */
export const language = preferred;

/** The words for days, as clock.js wants them. */
export const dayWords = { today: words.today, yesterday: words.yesterday };

/** A sentence with its {values} filled in; lists choose by `count`. */
export function say(key, values = {}) {
  const found = words[key];
  const sentence = Array.isArray(found) ? found[values.count === 1 ? 0 : 1] : found;
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/** What went wrong, for a person: our words for the codes we know, else the server's. `values` are told in it. */
export function reasonOf(error, values = {}) {
  const key = `error.${error.code}`;
  return key in words ? say(key, values) : error.message || String(error.code);
}
