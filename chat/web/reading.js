/** What this user has read: told to the server, the newest position per conversation, until it was confirmed. */

export class Reading {
  #wanted = new Map(); // conversation id -> position; emptied as it is confirmed
  #telling = new Set();

  constructor({ store, connection }) {
    Object.assign(this, { store, connection });
  }

  /** The entries up to `seq` have been seen. */
  upTo(conversation, seq) {
    if (!conversation.read(seq)) return;
    this.#wanted.set(conversation.id, seq);
    this.store.changed();
    this.#tell(conversation.id);
  }

  /** The line is live again: tell what it swallowed. */
  pump() {
    for (const id of this.#wanted.keys()) this.#tell(id);
  }

  async #tell(conversationId) {
    if (this.#telling.has(conversationId) || !this.connection.live) return;
    this.#telling.add(conversationId);
    const seq = this.#wanted.get(conversationId);
    const wait = await this.connection.request('read', { conversationId, seq }).then(
      () => 0,
      (error) => (error.passing ? 1000 * (error.retryAfter ?? 2) : 0), // refused for good: not ours to read any more
    );
    if (wait > 0) await new Promise((resume) => setTimeout(resume, wait));
    else if (this.#wanted.get(conversationId) === seq) this.#wanted.delete(conversationId);
    this.#telling.delete(conversationId);
    if (this.#wanted.has(conversationId)) this.#tell(conversationId);
  }
}
