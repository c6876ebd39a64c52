/** The mark behind an own message: waiting, sent, delivered, read. */

import { icon } from '../dom.js';
import { say } from '../words.js';

const PICTURES = { sending: 'clock', sent: 'check', delivered: 'checks', read: 'checks', failed: 'alert' };

/** `status` is sending, sent, delivered, read or failed; `label` says it in words. */
export function ticks(status, label = status === 'failed' ? '' : say(status)) {
  const picture = icon(PICTURES[status]);
  picture.classList.add('ticks', status);
  picture.dataset.status = status;
  picture.removeAttribute('aria-hidden');
  picture.setAttribute('role', 'img');
  picture.setAttribute('aria-label', label);
  return picture;
}
