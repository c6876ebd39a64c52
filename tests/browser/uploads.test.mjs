// Files on their way up: a few at a time, again after a break, never two for one message.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';

import { ApiError, unreachable } from '../../chat/web/http.js';
import { Store } from '../../chat/web/store.js';
import { Uploads } from '../../chat/web/uploads.js';

const MEDIA = { id: 'm1', kind: 'image', url: '/uploads/images/m1.png' };
const file = new Blob(['bytes'], { type: 'image/png' });
let waits;

beforeEach(() => (waits = []));

// A server whose answers are given by hand: `api.asked` are the uploads without one, oldest first.
function begin(localIds = ['a'], { live = true, held = file } = {}) {
  const store = new Store();
  store.clear({ id: 'u1', name: 'Me' });
  const waiting = { key: 'g1', file: { name: 'x.png' }, media: null, error: null };
  store.pending = localIds.map((localId) => ({ localId, ...waiting }));
  const api = { asked: [], aborted: 0 };
  api.upload = (_, { signal, onProgress }) =>
    new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => {
        api.aborted += 1;
        reject(unreachable());
      });
      api.asked.push({ resolve, reject, onProgress });
    });
  const connection = { live };
  const pause = { take: async (ms) => void waits.push(ms) };
  const sent = [];
  const attachments = { file: async () => held };
  const onUploaded = () => sent.push(store.pending.filter(({ media }) => media).length);
  const uploads = new Uploads({ api, store, connection, attachments, onUploaded, pause });
  uploads.start();
  return { store, api, connection, uploads, sent, message: () => store.pending[0] };
}

const quiet = async () => {
  for (let turn = 0; turn < 5; turn += 1) await settled();
};

test('two files go at a time, in order, and what came of each is written to its message', async () => {
  const { store, api, sent } = begin(['a', 'b', 'c']);
  await quiet();
  assert.equal(api.asked.length, 2);
  api.asked[0].resolve(MEDIA);
  await quiet();
  assert.equal(api.asked.length, 3);
  assert.deepEqual(
    store.pending.map(({ media }) => media?.id ?? null),
    ['m1', null, null],
  );
  assert.deepEqual(sent, [1]);
});

test('a file tells how far it has come', async () => {
  const { api, uploads, store } = begin();
  let told = 0;
  await quiet();
  store.subscribe(() => (told += 1));
  assert.equal(uploads.share('a'), 0);
  api.asked[0].onProgress(0.4);
  assert.equal(uploads.share('a'), 0.4);
  assert.equal(told, 1);
});

test('a message thrown away takes its upload along', async () => {
  const { api, store, uploads } = begin(['a', 'b', 'c']);
  await quiet();
  store.settle('a');
  store.changed();
  await quiet();
  assert.equal(api.aborted, 1);
  assert.equal(uploads.share('a'), null);
  assert.equal(api.asked.length, 3);
});

test('a broken line is waited for, and then the file goes from the beginning', async () => {
  const { api, connection, uploads, message } = begin();
  await quiet();
  connection.live = false;
  api.asked[0].reject(unreachable());
  await quiet();
  assert.equal(api.asked.length, 1);
  assert.equal(message().error, null);
  connection.live = true;
  uploads.pump();
  await quiet();
  assert.equal(api.asked.length, 2);
  api.asked[1].resolve(MEDIA);
  await quiet();
  assert.equal(message().media.id, 'm1');
});

test('a server that asks for patience gets it as often as it asks', async () => {
  const { api, message } = begin();
  for (let turn = 0; turn < 8; turn += 1) {
    await quiet();
    api.asked[turn].reject(new ApiError({ code: 'rate_limited', retryAfter: 3 }, 429));
  }
  await quiet();
  assert.deepEqual(waits, Array(8).fill(3000));
  assert.equal(message().error, null);
});

test('a way that lets no file through is found out, and told', async () => {
  const { api, message } = begin();
  for (let turn = 0; turn < 5; turn += 1) {
    await quiet();
    api.asked[turn].reject(unreachable());
  }
  await quiet();
  assert.equal(api.asked.length, 5);
  assert.equal(message().error.code, 'unreachable');
});

test('a refusal stays with its reason and is not repeated', async () => {
  const { api, message } = begin();
  await quiet();
  api.asked[0].reject(new ApiError({ code: 'unsupported_media', message: 'No.' }, 415));
  await quiet();
  assert.deepEqual([api.asked.length, message().error.code], [1, 'unsupported_media']);
});

test('a file that nobody has any more is said to be lost', async () => {
  const { api, message } = begin(['a'], { held: null });
  await quiet();
  assert.deepEqual([api.asked.length, message().error.code], [0, 'file_lost']);
});

test('nothing goes up after the end of the login', async () => {
  const { api, uploads, store } = begin(['a', 'b', 'c']);
  await quiet();
  uploads.stop();
  store.changed();
  await quiet();
  assert.deepEqual([api.asked.length, api.aborted], [2, 2]);
});
