// The outbox: in order, once, and again until there is an answer.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';

import { ApiError, unreachable } from '../../chat/web/http.js';
import { Outbox } from '../../chat/web/outbox.js';
import { Store } from '../../chat/web/store.js';

const ME = { id: 'u1', name: 'Me' };
let kept;

beforeEach(() => {
  kept = new Map();
  globalThis.sessionStorage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
});

afterEach(() => delete globalThis.sessionStorage);

// A line whose answers are given by hand: `line.asked` are the sends without an answer, oldest first.
function begin() {
  const store = new Store();
  store.clear(ME);
  for (const id of ['p1-2', 'g7']) {
    store.absorbSummary({
      id,
      kind: 'group',
      name: id,
      lastSeq: 0,
      change: 0,
      readSeq: 0,
      unread: 0,
      lastMessage: null,
    });
  }
  const line = { live: true, asked: [], seqs: {} };
  line.request = (op, data) => new Promise((resolve, reject) => line.asked.push({ op, data, resolve, reject }));
  line.answer = async () => {
    const { data, resolve } = line.asked.shift();
    const seq = (line.seqs[data.conversationId] = (line.seqs[data.conversationId] ?? 0) + 1);
    resolve({ ...data, id: `m${seq}`, seq, change: seq, senderId: 'u1', createdAt: '2026-01-01T00:00:00.000000Z' });
    await settled();
  };
  line.refuse = async (error) => {
    line.asked.shift().reject(error);
    await settled();
  };
  const attachments = { held: [], hold: (localId, picked) => attachments.held.push([localId, picked]) };
  const outbox = new Outbox({ store, connection: line, attachments });
  outbox.restore();
  const conversation = (id = 'p1-2') => store.conversations.get(id);
  const post = (content, id) => outbox.post({ conversation: conversation(id), content });
  const attach = (content, ...names) =>
    outbox.post({ conversation: conversation(), content, files: names.map(pickedOf) });
  const uploaded = (name, id = `m ${name}`, kind = 'image') => {
    const told = (message) => (message.file?.name === name ? { ...message, media: { id, kind } } : message);
    store.pending = store.pending.map(told);
    outbox.pump();
  };
  return { store, line, outbox, conversation, post, attach, attachments, uploaded };
}

const pickedOf = (name) => ({ file: { name, size: 7, type: 'image/png' }, preview: null, width: 4, height: 3 });

test('messages of a conversation go one after the other, those of another do not wait for them', async () => {
  const { store, line, post, conversation } = begin();
  ['a', 'b'].forEach((text) => post(text));
  post('c', 'g7');
  assert.deepEqual(
    line.asked.map(({ data }) => data.content),
    ['a', 'c'],
  );
  await line.answer();
  await line.answer();
  await line.answer();
  assert.deepEqual(
    conversation().entries.map(({ content }) => content),
    ['a', 'b'],
  );
  assert.equal(store.pending.length, 0);
});

test('what the line swallowed is sent again under the same localId', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { line, post, outbox, conversation } = begin();
  post('a');
  const [{ data }] = line.asked;
  line.live = false;
  await line.refuse(unreachable());
  context.mock.timers.tick(60000);
  await settled();
  assert.equal(line.asked.length, 0);
  line.live = true;
  outbox.pump();
  assert.equal(line.asked[0].data.localId, data.localId);
  await line.answer();
  assert.deepEqual(
    conversation().entries.map(({ content }) => content),
    ['a'],
  );
});

test('a server that asks for patience gets it', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { line, post, outbox } = begin();
  post('a');
  await line.refuse(new ApiError({ code: 'rate_limited', retryAfter: 3 }, 429));
  outbox.pump();
  context.mock.timers.tick(2900);
  await settled();
  assert.equal(line.asked.length, 0);
  context.mock.timers.tick(200);
  await settled();
  assert.equal(line.asked.length, 1);
});

test('a message that is refused for good stays with its reason, and the next one goes', async () => {
  const { store, line, outbox, post } = begin();
  ['bad', 'good'].forEach((text) => post(text));
  await line.refuse(new ApiError({ code: 'content_too_long', message: 'Too long.' }));
  assert.equal(store.pending[0].error.code, 'content_too_long');
  assert.equal(line.asked[0].data.content, 'good');
  await line.answer();
  outbox.retry(store.pending[0].localId);
  assert.equal(line.asked[0].data.content, 'bad');
  outbox.discard(store.pending[0].localId);
  assert.equal(store.pending.length, 0);
});

test('nothing is taken that could not be kept', () => {
  const { line, post } = begin();
  line.live = false;
  const taken = Array.from({ length: 201 }, (_, at) => post(`text ${at}`));
  assert.deepEqual([taken.filter(Boolean).length, taken.at(-1)], [200, false]);
});

test('a reload brings back what waits, for the same user only', () => {
  const { line, post } = begin();
  line.live = false;
  post('not sent');
  assert.equal(begin().store.pending[0].content, 'not sent');
  kept.set('chat.outbox', JSON.stringify({ userId: 'u9', pending: [{ localId: 'x' }] }));
  assert.equal(begin().store.pending.length, 0);
  kept.set('chat.outbox', 'not ours');
  assert.equal(begin().store.pending.length, 0);
});

test('a message tells how far its writer has read', () => {
  const { line, post, conversation } = begin();
  conversation().read(4);
  post('a');
  assert.equal(line.asked[0].data.readSeq, 4);
});

test('half an emoji does not spoil the line', () => {
  const { line, post } = begin();
  post('a\ud83d b\ud83d\ude00');
  assert.equal(line.asked[0].data.content, 'a\ufffd b😀');
});

test('a file is sent once it is uploaded, and what is said to several goes with the last', async () => {
  const { line, attach, attachments, uploaded, store } = begin();
  attach('look', 'a.png', 'b.png');
  assert.deepEqual(
    attachments.held.map(([localId, { file }]) => [localId, file.name]),
    store.pending.map(({ localId, file }) => [localId, file.name]),
  );
  uploaded('b.png');
  assert.equal(line.asked.length, 0); // it waits for the one before it
  uploaded('a.png');
  await line.answer();
  await line.answer();
  assert.equal(store.pending.length, 0);
  assert.deepEqual(
    store.conversations.get('p1-2').entries.map(({ type, mediaId, content }) => [type, mediaId, content]),
    [
      ['image', 'm a.png', undefined],
      ['image', 'm b.png', 'look'],
    ],
  );
});

test('a text does not wait for a file on its way, and what is no picture goes as a file', () => {
  const { line, attach, post, uploaded } = begin();
  attach('', 'a.pdf');
  post('meanwhile');
  uploaded('a.pdf', 'm1', 'file');
  assert.deepEqual(
    line.asked.map(({ data }) => [data.type, data.mediaId]),
    [
      ['text', undefined],
      ['file', 'm1'],
    ],
  );
});

test('after a reload the same upload is sent under the same localId', () => {
  const first = begin();
  first.attach('', 'a.png');
  first.uploaded('a.png');
  first.store.changed();
  const second = begin();
  second.outbox.pump();
  assert.deepEqual(second.line.asked[0].data, first.line.asked[0].data);
});

test('of two copies of a tab that upload the same file one message remains', async () => {
  const { line, attach, uploaded, store } = begin();
  attach('', 'a.png');
  uploaded('a.png');
  await line.refuse(new ApiError({ code: 'local_id_conflict' }, 409));
  assert.equal(store.pending.length, 0);
});

test('an upload that the server has thrown away is made once more', async () => {
  const { line, attach, uploaded, store, outbox } = begin();
  attach('', 'a.png');
  uploaded('a.png');
  await line.refuse(new ApiError({ code: 'unknown_media' }, 400));
  assert.equal(store.pending[0].error.code, 'unknown_media');
  outbox.retry(store.pending[0].localId);
  assert.deepEqual([store.pending[0].media, line.asked.length], [null, 0]);
});
