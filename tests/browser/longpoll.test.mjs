// The long-poll carrier over a server that is only told what to answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LongPollCarrier } from '../../chat/web/longpoll.js';

/** Answers each poll when told to; `asked` holds every exchange. */
class Server {
  asked = [];
  #polls = [];

  call(method, path, options) {
    this.asked.push({ method, path, ...options });
    if (!path.startsWith('/poll')) return Promise.resolve({ presence: [] });
    return new Promise((resolve, reject) => {
      options.signal.addEventListener('abort', () => reject(new Error('gone')));
      this.#polls.push({ resolve, options });
      this.#arrived?.();
    });
  }

  /** Answer the next poll on behalf of a session. */
  async answer(session, events = []) {
    while (!this.#polls.length) await new Promise((resume) => (this.#arrived = resume));
    const { resolve, options } = this.#polls.shift();
    options.onHeaders(new Headers(session ? { 'Chat-Session': session } : {}));
    resolve({ events, cursor: 'c' });
  }

  #arrived = null;
}

const begun = async (session) => {
  const server = new Server();
  const heard = [];
  const carrier = new LongPollCarrier({ api: server, cursor: 'before', onEvent: (frame) => heard.push(frame) });
  await server.answer(session);
  await carrier.opened;
  return { server, carrier, heard };
};

test('commands go out on behalf of the session whose the last poll was', async () => {
  const { server, carrier } = await begun('s1');
  await carrier.request('read', { conversationId: 'g1', seq: 3 });
  assert.equal(server.asked.at(-1).session, 's1');
  await server.answer('s2');
  await server.answer(null); // an answer that does not say changes nothing
  await carrier.request('read', { conversationId: 'g1', seq: 4 });
  assert.equal(server.asked.at(-1).session, 's2');
  carrier.close();
});
