/**
 * The long-poll carrier, for where WebSocket is blocked: the same events by one waiting GET after the other,
 * verbs over REST. Same face as the WebSocket carrier. A poll consumes nothing; the next one's cursor does.
 */

import { overRest } from './commands.js';
import { LoggedOut } from './account.js';

const HOLD = 25; // seconds the server may hold a poll; below the 30 s at which proxies cut idle requests
const SLACK = 10000; // ms that an answer may be late before the connection counts as lost
const BREATH = 100; // ms between polls, so that events that come one by one are fetched a few at a time

export class LongPollCarrier {
  kind = 'longpoll';
  session = null; // whose the last poll was; another server goes on with one of its own
  watched = null; // what was asked of it last, and has to be asked of the next one
  #stop = new AbortController();

  constructor({ api, cursor, onEvent }) {
    Object.assign(this, { api, cursor, onEvent });
    this.opened = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.opened.catch(() => {}); // whoever waits is told; nobody need wait
    this.ended = new Promise((resolve) => (this.finish = resolve));
    this.#run();
  }

  request(op, data) {
    if (op === 'presence.watch') this.watched = data;
    return overRest(this.api, op, data, this.session);
  }

  /** The poll that is open proves itself; after a sleep of the machine a new one is quicker. */
  async check() {
    this.#end({ code: 1006 });
  }

  close() {
    this.#end({ code: 1000 });
  }

  /** The first poll does not wait: it only proves that polls pass. */
  async #run() {
    try {
      let wait = 0;
      while (!this.over) {
        const bye = await this.#poll(wait);
        if (bye) return this.#end({ code: bye.code, bye });
        this.resolve(null);
        wait = HOLD;
        await new Promise((resume) => setTimeout(resume, BREATH));
      }
    } catch (error) {
      const code = error instanceof LoggedOut || error.status === 401 ? 4401 : 1006;
      this.#end({ code, bye: error.retryAfter ? { retryAfter: error.retryAfter } : null });
    }
  }

  async #poll(wait) {
    const values = new URLSearchParams(this.cursor ? { cursor: this.cursor, timeout: wait } : { timeout: wait });
    const before = this.session;
    const onHeaders = (headers) => (this.session = headers.get('Chat-Session') ?? this.session);
    const limits = { signal: this.#stop.signal, within: wait * 1000 + SLACK, onHeaders };
    const { events, cursor } = await this.api.call('GET', `/poll?${values}`, limits);
    if (this.over) return null;
    for (const frame of events) this.onEvent(frame);
    this.cursor = cursor;
    this.onEvent({ event: 'cursor', data: { cursor } });
    if (this.session !== before && this.watched) this.#watchAnew();
    return events.find(({ event }) => event === 'bye')?.data;
  }

  async #watchAnew() {
    const answer = await this.request('presence.watch', this.watched).catch(() => null);
    for (const data of answer?.presence ?? []) this.onEvent({ event: 'presence', data });
  }

  #end(outcome) {
    if (this.over) return;
    this.over = true;
    this.#stop.abort();
    this.reject(outcome);
    this.finish(outcome);
  }
}
