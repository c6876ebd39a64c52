/** Reading a conversation's past: the newest page when it is opened, older ones as they are scrolled to. */

import { mediaOf } from './media.js';

const PAGE = 50; // entries

export class History {
  loading = false;
  failed = false;

  /** `conversation` may be a draft, which has no past. */
  constructor({ api, store, conversation }) {
    Object.assign(this, { api, store, conversation });
  }

  /** Read the newest page, unless that was done before. */
  async open() {
    const { conversation } = this;
    if (conversation.opened || conversation.draft) return;
    await this.#read({ limit: PAGE }, (page) => conversation.absorbNewest(page));
  }

  /** Read the page before what is held. */
  async older() {
    const { conversation } = this;
    if (!conversation.opened || !conversation.hasOlder || this.failed) return;
    const before = conversation.entries[0]?.seq;
    await this.#read({ before, limit: PAGE }, (page) => conversation.absorbOlder(page));
  }

  /** What failed is tried once more. */
  again() {
    this.failed = false;
    return this.conversation.opened ? this.older() : this.open();
  }

  /** Read one entry anew, for the addresses in it expire. Returns it, or null where it carries nothing any more. */
  async refresh({ seq }) {
    const { conversation } = this;
    const page = await this.api.messages(conversation.id, { before: seq + 1, limit: 1 }).catch(() => null);
    const [entry] = page?.messages ?? [];
    if (entry?.seq !== seq) return null;
    conversation.absorbEntry(entry);
    this.store.changed();
    return mediaOf(entry) && entry;
  }

  async #read(which, absorb) {
    if (this.loading) return;
    this.loading = true;
    try {
      const page = await this.api.messages(this.conversation.id, which);
      this.failed = false;
      absorb(page);
    } catch {
      this.failed = true; // the timeline offers to try again; a live line does so by itself
    }
    this.loading = false;
    this.store.changed();
  }
}
