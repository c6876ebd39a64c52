/** A person's or group's face: their picture, else their initials on a colour of their own. */

import { el, icon } from '../dom.js';
import { initials } from '../text.js';

const HUES = 12; // classes hue-0 … hue-11 in styles/theme.css

/** The same id has the same colour on every device. */
function hueOf(id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  return sum % HUES;
}

/** Only pictures from this server are shown: the page loads nothing from elsewhere. */
function ownAddress(address) {
  if (!address) return null;
  try {
    const url = new URL(address, location.href);
    return url.origin === location.origin ? url.href : null;
  } catch {
    return null;
  }
}

/** `who` is `{id, name, avatar, online?}`; `size` is small, medium or large; `group` picks the emblem. */
export function avatar(who, { size = 'medium', group = false, presence = false } = {}) {
  const source = ownAddress(who.avatar);
  const face = source
    ? el('img', { src: source, alt: '', loading: 'lazy' })
    : group
      ? icon('group')
      : initials(who.name || '');
  const dot = presence && who.online ? el('span', { class: 'dot' }) : null;
  const shape = `avatar ${size} hue-${hueOf(who.id)}`;
  return el('span', { class: shape, 'aria-hidden': 'true' }, el('span', { class: 'face' }, face), dot);
}
