/** What a message carries beside its text: pictures and files, their size on the page, their names. Pure. */

const WITHOUT_WORDS = '[image]'; // the server's text for a picture to which nothing was said
const LARGEST = { width: 320, height: 320 }; // px of a picture among messages; thumbnails have 480, for fine screens
const SMALLEST = 96; // px; a button to be hit by a finger, whatever the picture
const UNKNOWN = [320, 240]; // px; of a picture whose size nobody has told
const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
const STEP = 1024; // as the server counts its limits
const TURNS = /[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu; // signs that make `gpj.exe` look like a picture

/** What a message carries; null for a text, and for what was recalled. */
export const mediaOf = ({ media, recalledAt }) => (recalledAt ? null : (media ?? null));

/** Whether it is shown as a picture; any other media is a file to be downloaded. */
export const isPicture = (entry) => entry.type === 'image' && mediaOf(entry)?.kind === 'image';

/** What was said to it; empty where the server has put a text of its own in its place. */
export function captionOf({ content, media }) {
  return content === WITHOUT_WORDS || content === media?.name ? '' : content;
}

/** The place of a picture on the page: `{width, height}` in px; `padded`: it is larger than the picture itself. */
export function boxOf({ width, height }) {
  const known = width > 0 && height > 0 ? [width, height] : UNKNOWN;
  const scale = Math.min(1, LARGEST.width / known[0], LARGEST.height / known[1]);
  const sides = known.map((length) => Math.round(length * scale));
  const [wide, high] = sides.map((length) => Math.max(SMALLEST, length));
  return { width: wide, height: high, padded: sides.some((length) => length < SMALLEST) };
}

/** A number of bytes for people: `3.4 MB`; `up` for what is more than is allowed and must not look like it. */
export function sizeWords(bytes, language, { up = false } = {}) {
  let at = 0;
  let number = bytes;
  for (; number >= STEP && at < UNITS.length - 1; at += 1) number /= STEP;
  const look = { style: 'unit', unit: UNITS[at], unitDisplay: at ? 'short' : 'long' };
  const rounding = { maximumFractionDigits: at > 1 && number < 100 ? 1 : 0, roundingMode: up ? 'ceil' : 'halfExpand' };
  return new Intl.NumberFormat(language, { ...look, ...rounding }).format(number);
}

/** A file's name as it is, without signs that turn parts of it around. */
export const plainName = (name) => (name ?? '').replace(TURNS, '');

/** An address without its signature: the same for the same picture, whenever it was signed. */
export const pathOf = (address) => address?.split('?')[0] ?? '';

/** Whether a signed address has ceased to open its file, by this device's clock. */
export function isExpired(address, now = Date.now()) {
  const until = Number(new URLSearchParams(address?.split('?')[1]).get('e'));
  return until > 0 && until * 1000 < now;
}

/** A message that waits, as an entry: what is known of its file here, and what the server has said of it since. */
export function waitingEntry({ file, media, ...message }, me) {
  const entry = { ...message, senderId: me, type: 'text' };
  if (!file) return entry;
  entry.file = file;
  const kind = media?.kind ?? (file.width ? 'image' : 'file');
  return { ...entry, type: kind === 'image' ? 'image' : 'file', media: { ...file, kind, ...media } };
}

/** The small picture that stands until the right one is there: only one that is in the address itself. */
export function placeholderOf({ placeholder }) {
  return /^data:image\/(webp|jpeg|png|gif);base64,[\w+/=]+$/.test(placeholder ?? '') ? placeholder : null;
}
