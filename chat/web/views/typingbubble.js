/** Three dots where the next message will be, while somebody types. */

import { el } from '../dom.js';
import { typingIn } from './naming.js';

const bubble = el(
  'li',
  { class: 'message theirs typing' },
  el('div', { class: 'bubble' }, el('span'), el('span'), el('span')),
);

/** The bubble, or null when nobody types in the conversation. */
export function typingBubble(store, conversation) {
  const words = typingIn(store, conversation);
  if (!words) return null;
  bubble.setAttribute('aria-label', words);
  return bubble;
}
