/** How far a file has come: a ring around the button that ends it. */

import { el, icon } from '../dom.js';
import { say } from '../words.js';

export class Ring {
  /** `onCancel()` is called when the person has thought better of it. */
  constructor(onCancel) {
    this.bar = el('span', { class: 'ring-bar', role: 'progressbar', 'aria-label': say('uploading') });
    this.bar.setAttribute('aria-valuemin', '0');
    this.bar.setAttribute('aria-valuemax', '100');
    const label = say('cancelUpload');
    const button = { type: 'button', class: 'ring-cancel', 'aria-label': label, title: label, onclick: onCancel };
    this.node = el('span', { class: 'ring' }, this.bar, el('button', button, icon('close')));
  }

  /** `share` is 0 to 1, or null while the file waits for its turn or for the line. */
  draw(share) {
    const percent = Math.round(100 * (share ?? 0));
    if (percent === this.drawn) return;
    this.drawn = percent;
    this.bar.setAttribute('aria-valuenow', String(percent));
    this.bar.style.setProperty('--share', `${percent}%`);
  }
}
