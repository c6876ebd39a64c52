/**
 * The WebSocket carrier: one connection, from its first frame to its end. `opened` is fulfilled by the server's
 * hello, `ended` tells how it went: `{code, bye?}`. A browser hides pings, so a command `ping` proves both ways.
 */

import { ApiError, unreachable } from './http.js';

const OPEN_WITHIN = 6000; // ms; a proxy that swallows the upgrade says nothing at all
const ANSWER_WITHIN = 15000; // ms
const BAD_TOKEN = new Set(['bad_token', 'not_authenticated', 'login_ended']);
const PULSE = 25; // seconds between pings where the server names none

export class WebSocketCarrier {
  kind = 'websocket';
  #waiting = new Map(); // command id -> its promise's ends; emptied by replies and by the end
  #lastId = 0;
  #bye = null;

  /** `cursor` may be null; `onEvent(frame)` gets every event, hello included. */
  constructor({ token, cursor, onEvent }) {
    this.onEvent = onEvent;
    this.opened = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.opened.catch(() => {}); // whoever waits is told; nobody need wait
    this.ended = new Promise((resolve) => (this.finish = resolve));
    this.timer = setTimeout(() => this.#end({ code: 4408 }), OPEN_WITHIN);
    this.#connect(token, cursor);
  }

  /** Run a verb and return its reply's data; throws ApiError (`unreachable` when the connection ends first). */
  request(op, data, within = ANSWER_WITHIN) {
    if (this.over || this.socket.readyState !== WebSocket.OPEN) return Promise.reject(unreachable());
    const id = (this.#lastId += 1);
    this.socket.send(JSON.stringify({ op, id, data }));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#end({ code: 1006 }), within);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  /** Prove within `within` ms that the other end is there; a dead connection ends. */
  async check(within = 5000) {
    await this.request('ping', {}, within).catch(() => {});
  }

  close() {
    this.#end({ code: 1000 });
  }

  #connect(token, cursor) {
    const address = new URL('/ws', location.href);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    this.socket = new WebSocket(address, ['chat.v1']);
    this.socket.onopen = () => this.#authenticate(token, cursor);
    this.socket.onmessage = ({ data }) => this.#receive(data);
    this.socket.onclose = ({ code }) => this.#end({ code });
  }

  #authenticate(token, cursor) {
    const data = cursor ? { token, cursor } : { token };
    this.request('auth', data).catch(({ code, retryAfter }) =>
      this.#end({ code: BAD_TOKEN.has(code) ? 4401 : 1006, retryAfter }),
    );
  }

  #receive(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.#end({ code: 1007 }); // something in between rewrites frames
    }
    if (frame.re !== undefined) return this.#settle(frame);
    if (frame.event === 'bye') this.#bye = frame.data;
    this.onEvent(frame);
    if (frame.event === 'hello') this.#begin(frame.data);
  }

  #settle({ re, data, error }) {
    const waiting = this.#waiting.get(re);
    if (!waiting) return;
    this.#waiting.delete(re);
    clearTimeout(waiting.timer);
    if (error) waiting.reject(new ApiError(error));
    else waiting.resolve(data);
  }

  #begin(hello) {
    clearTimeout(this.timer);
    this.timer = setInterval(() => this.check(10000), (hello.heartbeat || PULSE) * 1000);
    this.resolve(hello);
  }

  #end(outcome) {
    if (this.over) return;
    this.over = true;
    clearInterval(this.timer);
    this.socket.close(outcome.code === 1000 ? 1000 : undefined);
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(unreachable());
    }
    this.#waiting.clear();
    const told = { ...outcome, bye: this.#bye };
    this.reject(told);
    this.finish(told);
  }
}
