/**
 * Own messages on their way: shown at once, sent in order, one at a time per conversation, and sent again under
 * the same `localId` until the server has answered, so that each is stored exactly once. What waits survives a
 * reload of the page (sessionStorage: another tab has its own).
 */

import { newLocalId } from './localid.js';
import { backoff } from './backoff.js';
import { draftKey } from './store.js';

const MOST = 200; // messages waiting; beyond, the person is told instead of being led on
const STORED_AS = 'chat.outbox';
const HALF = /\p{Surrogate}/gu; // half an emoji, cut by an input method: no server takes it

export class Outbox {
  #busy = new Set(); // keys with a send in flight, or told to wait
  #failures = 0; // sends in a row that got no answer

  constructor({ store, connection }) {
    Object.assign(this, { store, connection });
  }

  /** Take a text for a conversation (or for a person, before there is one). Returns false when too many wait. */
  post({ conversation, toUser, content }) {
    if (this.store.pending.length >= MOST) return false;
    const whole = content.replace(HALF, '\uFFFD');
    const message = { localId: newLocalId(), content: whole, createdAt: new Date().toISOString(), error: null };
    const place = conversation
      ? { key: conversation.id, conversationId: conversation.id }
      : { key: draftKey(toUser), toUser };
    this.store.pending = [...this.store.pending, { ...message, ...place }];
    this.store.changed();
    this.pump();
    return true;
  }

  /** Send whatever may be sent: called when something is posted and when the line is live again. */
  pump() {
    const seen = new Set();
    for (const message of this.store.pending) {
      if (seen.has(message.key) || message.error) continue;
      seen.add(message.key);
      if (this.connection.live && !this.#busy.has(message.key)) this.#send(message);
    }
  }

  /** Try a refused message once more. */
  retry(localId) {
    this.#mark(localId, null);
    this.pump();
  }

  discard(localId) {
    this.store.settle(localId);
    this.store.changed();
  }

  /** Bring back what a reload interrupted, and from now on keep what waits. */
  restore() {
    try {
      const { userId, pending } = JSON.parse(sessionStorage.getItem(STORED_AS)) ?? {};
      if (userId === this.store.me.id) this.store.pending = pending;
    } catch {
      sessionStorage.removeItem(STORED_AS); // not written by us
    }
    this.store.subscribe(() => this.#save());
  }

  async #send(message) {
    this.#busy.add(message.key);
    const wait = await this.#deliver(message);
    if (wait) await new Promise((resume) => setTimeout(resume, wait));
    this.#busy.delete(message.key);
    this.pump();
  }

  /** One attempt. Returns how long (ms) to leave this conversation alone. */
  async #deliver(message) {
    try {
      const entry = await this.connection.request('message.send', this.#command(message));
      this.store.settle(message.localId);
      this.store.absorbSent(entry, message.toUser);
      this.#failures = 0;
      return 0;
    } catch (error) {
      return this.#refused(message, error);
    }
  }

  #command({ localId, content, conversationId, toUser }) {
    const command = { type: 'text', content, localId };
    if (toUser) return { ...command, toUser };
    const readSeq = this.store.conversations.get(conversationId)?.readSeq;
    return { ...command, conversationId, readSeq };
  }

  /** A lost line or a passing refusal: again after a while. Anything else is shown to the person. */
  #refused(message, error) {
    if (error.passing) return error.retryAfter ? 1000 * error.retryAfter : backoff((this.#failures += 1));
    this.#mark(message.localId, { code: error.code, message: error.message });
    return 0;
  }

  #mark(localId, error) {
    const marked = (message) => (message.localId === localId ? { ...message, error } : message);
    this.store.pending = this.store.pending.map(marked);
    this.store.changed();
  }

  #save() {
    const pending = this.store.pending;
    if (pending === this.saved) return;
    this.saved = pending;
    sessionStorage.setItem(STORED_AS, JSON.stringify({ userId: this.store.me.id, pending }));
  }
}
