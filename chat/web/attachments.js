/**
 * The files of messages that wait: in memory with an address for the preview, and kept over a reload until their
 * message is sent or thrown away.
 */

import { FileKeep } from './filekeep.js';
import { look } from './picked.js';

export class Attachments {
  #held = new Map(); // localId -> {file, preview}; of the messages that wait and no others
  #seen = null; // the list of waiting messages as it was looked through last

  constructor({ store, keep = new FileKeep() }) {
    Object.assign(this, { store, keep, restored: Promise.resolve() });
  }

  /** Take a chosen file (see picked.js) over for a message that is about to wait. */
  hold(localId, { file, preview }) {
    this.#held.set(localId, { file, preview });
    this.keep.put(localId, file);
  }

  /** The file of a message, or null when nobody has it any more. */
  async file(localId) {
    if (!this.#held.has(localId)) await this.restored;
    return this.#held.get(localId)?.file ?? null;
  }

  /** An address for an `<img>`, or null. */
  preview(localId) {
    return this.#held.get(localId)?.preview ?? null;
  }

  /** Bring back what a reload interrupted, and from now on let go of what no longer waits. */
  restore() {
    this.restored = this.#restore();
    this.store.subscribe(() => this.#tidy());
  }

  /** The login has ended: nothing of it stays on this device. */
  async clear() {
    for (const localId of [...this.#held.keys()]) this.#drop(localId);
    await this.keep.clear();
  }

  async #restore() {
    await this.keep.sweep();
    const waiting = this.store.pending.filter(({ localId, file }) => file && !this.#held.has(localId));
    for (const { localId } of waiting) {
      const file = await this.keep.get(localId);
      if (file) this.#held.set(localId, await look(file));
    }
    this.store.changed();
  }

  #tidy() {
    const { pending } = this.store;
    if (pending === this.#seen) return;
    this.#seen = pending;
    const waiting = new Set(pending.map(({ localId }) => localId));
    for (const localId of [...this.#held.keys()]) if (!waiting.has(localId)) this.#drop(localId);
  }

  #drop(localId) {
    const { preview } = this.#held.get(localId);
    if (preview) URL.revokeObjectURL(preview);
    this.#held.delete(localId);
    this.keep.remove(localId);
  }
}
