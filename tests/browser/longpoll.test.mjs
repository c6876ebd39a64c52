// The long-poll carrier over a server that is only told what to answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LongPollCarrier } from '../../chat/web/longpoll.js';

/** Answers each poll when told to; `asked` holds every exchange. */
class Server {
  asked = [];
  presence = [];
  #polls = [];

  call(method, path, options) {
    this.asked.push({ method, path, ...options });
    if (!path.startsWith('/poll')) return Promise.resolve({ presence: this.presence });
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

test('what one session was asked to watch is asked of the next', async () => {
  const { server, carrier, heard } = await begun('s1');
  await carrier.request('presence.watch', { userIds: ['u2'] });
  assert.equal(server.asked.filter(({ method }) => method === 'PUT').length, 1);
  server.presence = [{ userId: 'u2', online: true, number: 7 }];
  await server.answer('s1');
  await server.answer('s2');
  await server.answer('s2');
  const asked = server.asked.filter(({ method }) => method === 'PUT');
  assert.deepEqual(
    asked.map(({ session, body }) => [session, body]),
    [
      ['s1', { userIds: ['u2'] }],
      ['s2', { userIds: ['u2'] }],
    ],
  );
  assert.deepEqual(
    heard.filter(({ event }) => event === 'presence').map(({ data }) => data.number),
    [7],
  );
  carrier.close();
});
