/**
 * What has to be asked of the server so that the store is complete: everything after a fresh start or a `resync`,
 * single conversations where an event showed a hole, descriptions and names that are unknown.
 *
 * While the list is being read, events wait; they are applied after it. The line was open before the list was
 * asked for, so nothing falls between the two, and what arrives twice is recognised by its number.
 */

import { backoff } from './backoff.js';
import { Pause } from './pause.js';

const PAGES = 20; // of 100 conversations: beyond, older ones come when something happens in them
const SYNC_AT_ONCE = 100; // the server's bound
const EVENTS_WAITING = 2000; // beyond, the list is read once more instead
const SPREAD = 300; // ms; members of a large group do not all ask at the same instant

const FLEETING = new Set(['typing']); // worth nothing later

export class CatchUp {
  #waiting = null; // events that came while the list was being read
  #running = false;
  #again = false;
  #asking = false;
  #generation = null;

  /** `connected()` tells whether asking makes sense; `onReady()` is called when the store is complete. */
  constructor({ api, connection, store, onReady }) {
    Object.assign(this, { api, connection, store, onReady, complete: false, describing: null });
    this.pause = new Pause();
  }

  /** Take one event from the line. */
  hear(frame) {
    if (frame.event === 'hello') this.#greet(frame.data);
    else if (frame.event === 'resync') this.refresh();
    else if (this.#waiting && !FLEETING.has(frame.event)) this.#hold(frame);
    else this.store.apply(frame);
    this.ask();
  }

  /** A new session: resumed where it stood, or begun anew; another generation is another database. */
  #greet({ resumed, generation }) {
    const restored = this.#generation !== null && generation !== this.#generation;
    this.#generation = generation;
    if (restored) this.store.clear(this.store.me);
    if (restored || !resumed || !this.complete) this.refresh();
  }

  /** Read the list anew and close every hole; tried until it succeeds or the line is lost. */
  async refresh() {
    this.#waiting ??= [];
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    for (let failures = 0; this.#again && this.connection.wanted; failures += 1) {
      this.#again = false;
      await this.#readAll().catch(() => (this.#again = true));
      if (this.#again) await this.pause.take(backoff(failures));
    }
    this.#running = false;
    this.#release();
  }

  async #readAll() {
    const before = new Set(this.store.conversations.keys());
    const wholeList = await this.#readList(before);
    if (wholeList) for (const id of before) this.store.drop(id);
    const { conversations } = await this.api.unread();
    for (const id of Object.keys(conversations))
      if (!this.store.conversations.has(id)) this.store.needs.summary.add(id);
    await this.#syncAll(this.#opened());
    this.complete = true;
  }

  /** Absorb every page; ids that are listed are taken out of `unseen`. Returns whether the list was read to its end. */
  async #readList(unseen) {
    let cursor;
    for (let page = 0; page < PAGES; page += 1) {
      const { conversations, nextCursor } = await this.api.conversations(cursor);
      for (const summary of conversations) {
        unseen.delete(summary.id);
        this.store.absorbSummary(summary);
      }
      cursor = nextCursor;
      if (!cursor) return true;
      this.onReady(); // the first page is worth showing
    }
    return false;
  }

  #opened() {
    return [...this.store.conversations.values()].filter((one) => one.opened).map((one) => one.id);
  }

  #hold(frame) {
    this.#waiting.push(frame);
    if (this.#waiting.length <= EVENTS_WAITING) return;
    this.#waiting = [];
    this.#again = true;
  }

  #release() {
    const frames = this.#waiting ?? [];
    this.#waiting = null;
    if (!this.connection.wanted) return;
    for (const frame of frames) this.store.apply(frame);
    if (this.complete) this.onReady();
    this.ask();
  }

  /** See to the store's needs, one round at a time, until there are none. */
  async ask() {
    if (this.#asking || this.#waiting) return;
    this.#asking = true;
    for (let failures = 0; this.#needy() && this.connection.live;) {
      await this.#round().then(
        () => (failures = 0),
        () => (failures += 1),
      );
      if (failures) await this.pause.take(backoff(failures));
    }
    this.#asking = false;
  }

  #needy() {
    const { sync, summary } = this.store.needs;
    return sync.size + summary.size > 0;
  }

  async #round() {
    const { sync, summary } = this.store.needs;
    if (sync.size) await this.#syncAll([...sync]);
    if (!summary.size) return;
    await this.pause.take(Math.random() * SPREAD);
    for (const id of [...summary]) await this.#describe(id);
  }

  async #describe(id) {
    this.describing = id;
    try {
      this.store.needs.summary.delete(id); // first: what comes while the answer is on its way needs another
      this.store.absorbSummary(await this.api.conversation(id));
    } catch (error) {
      if (error.status === 403 || error.status === 404) return this.store.drop(id);
      this.store.needs.summary.add(id);
      throw error;
    } finally {
      this.describing = null;
    }
  }

  /** Close the holes of these conversations by position. */
  async #syncAll(ids) {
    for (let at = 0; at < ids.length; at += SYNC_AT_ONCE) {
      const held = ids.slice(at, at + SYNC_AT_ONCE).map((id) => [id, this.store.conversations.get(id)]);
      const stand = held.filter(([, one]) => one).map(([id, one]) => [id, one.stand()]);
      const answer = await this.connection.request('sync', { conversations: Object.fromEntries(stand) });
      this.store.absorbSync(answer.conversations);
      for (const [id] of held) if (!(id in answer.conversations)) this.#lost(id);
    }
  }

  /** A sync that passes over a conversation means that this user is not in it. */
  #lost(id) {
    this.store.needs.sync.delete(id);
    this.store.needs.summary.add(id);
  }
}
