/** What is in a text: web addresses, and whether it is nothing but a few emoji. Pure. */

const ADDRESS = /https?:\/\/[^\s<>"'`，。！？；：、）】》」』]+/giu;
const TRAILING = /[.,!?;:)\]}'"*_~]+$/u;
const FEW_EMOJI =
  /^(?:(?:\p{RI}\p{RI}|\p{Extended_Pictographic}[\p{EMod}\uFE0F]?(?:\u200D\p{Extended_Pictographic}[\p{EMod}\uFE0F]?)*)\s*){1,3}$/u;

/** Split into parts `{text}` and `{text, href}`, in order; together they are the whole text again. */
export function partsOf(text) {
  const parts = [];
  let from = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const href = withoutTail(found);
    if (!isAddress(href)) continue;
    if (index > from) parts.push({ text: text.slice(from, index) });
    parts.push({ text: href, href });
    from = index + href.length;
  }
  if (from < text.length) parts.push({ text: text.slice(from) });
  return parts;
}

/** One to three emoji and nothing else: worth showing large. */
export const isFewEmoji = (text) => text.length <= 40 && FEW_EMOJI.test(text);

/** Letters that stand for a name where there is no picture: `Ada Lovelace` → `AL`, `王小明` → `小明`. */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  if (!words.length) return '?';
  const letters = (word) => [...word];
  if (/\p{Script=Han}/u.test(name)) return letters(words.join('')).slice(-2).join('');
  const taken = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return taken.map((word) => letters(word)[0].toLocaleUpperCase()).join('');
}

/** The end of a sentence, or a bracket that was opened before the address, does not belong to it. */
function withoutTail(found) {
  const bare = found.replace(TRAILING, '');
  return found.startsWith(')', bare.length) && bare.includes('(') ? `${bare})` : bare;
}

function isAddress(text) {
  try {
    return Boolean(new URL(text).hostname);
  } catch {
    return false;
  }
}
