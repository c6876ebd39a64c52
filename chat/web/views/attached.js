/** What a message carries, above its text: a picture or a file, and how far it has come while it is on its way. */

import { el } from '../dom.js';
import { isPicture, mediaOf } from '../media.js';
import { FileRow } from './filerow.js';
import { Picture } from './picture.js';
import { Ring } from './ring.js';

export class Attached {
  #shape = null; // Picture or FileRow; what a file is may turn out on its way

  /** `context` is the timeline's. */
  constructor(context) {
    this.context = context;
    this.node = el('div', { class: 'attached', hidden: true });
  }

  draw(item) {
    const { entry } = item;
    this.node.hidden = !mediaOf(entry);
    if (this.node.hidden) return this.#empty();
    const Shape = isPicture(entry) ? Picture : FileRow;
    if (!(this.#shape instanceof Shape)) this.#become(new Shape(this.context));
    this.#shape.draw(entry);
    this.#drawRing(item);
  }

  /** How wide (px) it wants to be; null for what is as wide as its words. */
  get width() {
    return this.#shape?.width ?? null;
  }

  #empty() {
    this.#shape = null;
    this.ring = null;
    this.node.replaceChildren();
  }

  #become(shape) {
    this.#shape = shape;
    this.node.replaceChildren(shape.node);
    this.ring = null;
  }

  /** While the file goes up, and no longer: what the server has may not be called back by a button. */
  #drawRing({ entry, status }) {
    const goesUp = status === 'sending' && !entry.seq && !entry.media.id;
    if (!goesUp) {
      this.ring?.node.remove();
      this.ring = null;
      return;
    }
    this.ring ??= this.#ring(entry.localId);
    this.ring.draw(this.context.share(entry.localId));
  }

  #ring(localId) {
    const ring = new Ring(() => this.context.outbox.discard(localId));
    this.node.append(ring.node);
    return ring;
  }
}
