/** Telling the others that this user types: at most every few seconds, and once when it is over. */

const REPEAT = 3000; // ms; half of what the others remember (TYPING_LASTS)

export class Typing {
  #in = null; // conversation id
  #toldAt = 0;

  constructor({ connection, now = Date.now }) {
    Object.assign(this, { connection, now });
  }

  /** The person changed the text for this conversation; `text` empty means that they gave up. */
  edited(conversationId, text) {
    if (!text.trim()) return this.over();
    if (this.#in === conversationId && this.now() - this.#toldAt < REPEAT) return;
    if (this.#in !== conversationId) this.over();
    this.#in = conversationId;
    this.#toldAt = this.now();
    this.#tell(true);
  }

  /** The text was put aside. */
  over() {
    if (this.#in) this.#tell(false);
    this.sent();
  }

  /** The text was sent: the message itself tells that the typing is over. */
  sent() {
    this.#in = null;
    this.#toldAt = 0;
  }

  #tell(typing) {
    const told = this.connection.request('typing', { conversationId: this.#in, typing });
    told.catch(() => {}); // worth nothing a moment later
  }
}
