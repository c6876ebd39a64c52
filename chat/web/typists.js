/** Who is typing where, until when. Pure: the clock is an argument. */

/** A typist who says nothing more is forgotten after this (ms); clients repeat themselves every 3 s. */
export const TYPING_LASTS = 6000;

export class Typists {
  #until = new Map(); // conversation id -> user id -> time; emptied as it is read

  constructor(now = Date.now) {
    this.now = now;
  }

  set(conversationId, userId, typing) {
    const there = this.#until.get(conversationId) ?? new Map();
    if (typing) there.set(userId, this.now() + TYPING_LASTS);
    else there.delete(userId);
    if (there.size) this.#until.set(conversationId, there);
    else this.#until.delete(conversationId);
  }

  /** The ids of those typing in a conversation right now. */
  in(conversationId) {
    const there = this.#until.get(conversationId);
    if (!there) return [];
    for (const [userId, until] of there) if (until <= this.now()) there.delete(userId);
    if (!there.size) this.#until.delete(conversationId);
    return [...there.keys()];
  }

  /** Whether anybody types anywhere: then the page looks again in a moment. */
  get any() {
    return this.#until.size > 0;
  }

  /** Forget what has lapsed, also where nobody looks. */
  sweep() {
    for (const conversationId of [...this.#until.keys()]) this.in(conversationId);
  }
}
