/**
 * The line to the server: keeps one carrier alive, WebSocket where it passes, else long-poll, and comes back by
 * itself with the last cursor, so that nothing between is missed. Listeners get events and learn the state.
 */

import { LoggedOut } from './account.js';
import { unreachable } from './http.js';
import { LongPollCarrier } from './longpoll.js';
import { backoff } from './backoff.js';
import { Pause } from './pause.js';
import { WebSocketCarrier } from './websocket.js';

const PROBE_FIRST = 3000; // ms until a long-poll tries WebSocket again: it may have been a restart, not a proxy
const PROBE_LAST = 300000; // ms; a network that blocks WebSocket is asked no more often than this
const TELLS_CURSOR = new Set(['hello', 'cursor', 'bye']);
const BAD_LOGIN = 4401;
const FLOODING = 4429;

export class Connection {
  #wanted = false;
  #carrier = null;
  #refused = 0; // times in a row that the server did not take our token

  /** `onEvent(frame)` gets every event, `onState({state, carrier, retryAt})` every change of the line. */
  constructor({ account, api, onEvent, onState }) {
    Object.assign(this, { account, api, onEvent, onState, cursor: null });
    this.pause = new Pause();
    addEventListener('offline', () => this.check());
    addEventListener('online', () => this.check());
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.check());
  }

  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#run();
  }

  /** Leave cleanly and forget the place. */
  stop() {
    this.#wanted = false;
    this.#carrier?.close();
    this.cursor = null;
    this.pause.end();
  }

  /** False once it was stopped or the login has ended. */
  get wanted() {
    return this.#wanted;
  }

  get live() {
    return this.#carrier !== null;
  }

  /** Run a verb; throws ApiError, with code `unreachable` while there is no line. */
  request(op, data) {
    return this.#carrier ? this.#carrier.request(op, data) : Promise.reject(unreachable());
  }

  /** Make sure that the line is alive, after a sleep or a change of network; come back at once if it is not. */
  check() {
    this.#carrier?.check();
  }

  /** Do not wait any longer before the next attempt. */
  hurry() {
    this.pause.end();
  }

  async #run() {
    let failures = 0;
    while (this.#wanted) {
      const outcome = await this.#live().catch((error) => error);
      this.#carrier = null;
      if (!this.#wanted || outcome instanceof LoggedOut) break;
      failures = outcome.lived ? 0 : failures + 1;
      await this.#wait(outcome, failures);
    }
    this.#wanted = false;
    this.#say('idle');
  }

  /** One life of the line, from the first attempt until its end. Returns how it ended. */
  async #live() {
    this.#say('connecting');
    let carrier = await this.#open();
    this.#take(carrier);
    if (carrier.kind === 'longpoll') carrier = await this.#improve(carrier);
    const outcome = await carrier.ended;
    await this.#answerRefusal(outcome);
    return { ...outcome, lived: true };
  }

  /** A carrier that works: WebSocket, else long-poll. Throws how it failed. */
  async #open() {
    try {
      return await this.#openWebSocket();
    } catch (outcome) {
      if (outcome instanceof LoggedOut || outcome.name === 'ApiError') throw outcome;
      if (outcome.code === BAD_LOGIN) await this.#answerRefusal(outcome);
      if (outcome.code === BAD_LOGIN || outcome.bye) throw outcome;
      return this.#openLongPoll();
    }
  }

  async #openWebSocket() {
    const token = await this.account.token();
    const carrier = new WebSocketCarrier({ token, cursor: this.cursor, onEvent: (frame) => this.#hear(frame) });
    await carrier.opened;
    return carrier;
  }

  async #openLongPoll() {
    const carrier = new LongPollCarrier({ api: this.api, cursor: this.cursor, onEvent: (frame) => this.#hear(frame) });
    await carrier.opened;
    return carrier;
  }

  /** While a long-poll carries, try WebSocket now and then. Returns the carrier that is to be lived on. */
  async #improve(poll) {
    for (let wait = PROBE_FIRST; !poll.over && this.#wanted; wait = Math.min(2 * wait, PROBE_LAST)) {
      await Promise.race([this.pause.take(wait * (0.5 + Math.random())), poll.ended]);
      if (poll.over || !this.#wanted) break;
      const better = await this.#openWebSocket().catch(() => null);
      if (!better) continue;
      poll.close();
      this.#take(better);
      return better;
    }
    return poll;
  }

  #take(carrier) {
    this.#refused = 0;
    if (!this.#wanted) return carrier.close();
    this.#carrier = carrier;
    this.#say('live', { carrier: carrier.kind });
  }

  /** Everything that arrives moves the cursor; what remains is for the page. */
  #hear(frame) {
    const cursor = frame.cursor ?? (TELLS_CURSOR.has(frame.event) ? frame.data.cursor : null);
    if (cursor) this.cursor = cursor;
    if (frame.event !== 'cursor') this.onEvent(frame);
  }

  /** A refused token is renewed once; refused again, the login is over. */
  async #answerRefusal({ code }) {
    if (code !== BAD_LOGIN) return;
    this.#refused += 1;
    if (this.#refused > 1) {
      this.account.end();
      throw new LoggedOut();
    }
    await this.account.token({ fresh: true });
  }

  /** Come back soon, but not all at the same time; later when the server asks for it. */
  async #wait({ bye, code, retryAfter }, failures) {
    const asked = 1000 * (bye?.retryAfter ?? retryAfter ?? (code === FLOODING ? 5 : 0));
    const ms = asked * (1 + Math.random() / 2) + (code === BAD_LOGIN ? 0 : backoff(failures));
    this.#say('waiting', { retryAt: Date.now() + ms });
    await this.pause.take(ms);
  }

  #say(state, more = {}) {
    this.onState({ state, carrier: null, retryAt: null, ...more });
  }
}
