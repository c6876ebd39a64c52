// The store: whatever comes in, in whatever order, ends as what the server holds.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Store, draftKey } from '../../chat/web/store.js';

const ME = { id: 'u1', name: 'Me' };
const PEER = { id: 'u2', name: 'Peer', online: false, lastSeenAt: null };

const entry = (seq, more = {}) => ({
  id: `m${seq}`,
  conversationId: 'p1-2',
  seq,
  change: seq,
  senderId: 'u2',
  localId: `l${seq}`,
  type: 'text',
  content: `text ${seq}`,
  createdAt: new Date(1e12 + seq * 1000).toISOString(),
  ...more,
});

const summary = (lastSeq, more = {}) => ({
  id: 'p1-2',
  kind: 'private',
  name: 'Peer',
  avatar: null,
  peer: { ...PEER, deliveredSeq: 0, readSeq: 0 },
  unread: 0,
  lastMessage: lastSeq ? entry(lastSeq) : null,
  lastSeq,
  change: lastSeq,
  readSeq: lastSeq,
  deliveredSeq: lastSeq,
  createdAt: '2026-01-01T00:00:00.000000Z',
  ...more,
});

function storeWith(...summaries) {
  const store = new Store();
  store.clear(ME);
  for (const one of summaries) store.absorbSummary(one);
  return store;
}

const message = (store, ...entries) => entries.forEach((data) => store.apply({ event: 'message', data }));
const seqs = (store) => store.conversations.get('p1-2').entries.map(({ seq }) => seq);
const conversation = (store) => store.conversations.get('p1-2');

test('a new message is shown once and counted as unread', () => {
  const store = storeWith(summary(5));
  message(store, entry(6), entry(6));
  assert.deepEqual(seqs(store), [5, 6]);
  assert.equal(conversation(store).unread, 1);
  assert.equal(store.unreadTotal, 1);
});

test('own messages, notices and recalled ones are not unread', () => {
  const store = storeWith(summary(5));
  message(store, entry(6, { senderId: 'u1' }), entry(7, { type: 'system' }), entry(8));
  store.apply({ event: 'message.updated', data: entry(8, { change: 9, recalledAt: 'now', content: '' }) });
  assert.equal(conversation(store).unread, 0);
});

test('unread beyond what is held is the server’s count and what came since', () => {
  const store = storeWith(summary(500, { unread: 120, readSeq: 300 }));
  message(store, entry(501));
  assert.equal(conversation(store).unread, 121);
});

test('what another device has read is counted up to its last entry, whatever is held by then', () => {
  const store = storeWith(summary(500, { unread: 120, readSeq: 300 }));
  message(store, entry(501), entry(502));
  const told = { conversationId: 'p1-2', readSeq: 400, unread: 60, lastSeq: 501 };
  store.apply({ event: 'unread', data: told });
  assert.equal(conversation(store).unread, 61, 'the 502nd was not counted yet');
  store.apply({ event: 'unread', data: { ...told, readSeq: 450, unread: 40, lastSeq: 503 } });
  message(store, entry(503));
  assert.equal(conversation(store).unread, 40, 'the 503rd was counted before it came');
  store.apply({ event: 'unread', data: { ...told, readSeq: 450, unread: 38 } });
  assert.equal(conversation(store).unread, 40, 'an older word');
});

test('an entry keeps its higher change, whichever comes first', () => {
  const store = storeWith(summary(5));
  message(store, entry(6));
  store.apply({ event: 'message.updated', data: entry(6, { change: 8, content: 'new' }) });
  store.apply({ event: 'message.updated', data: entry(6, { change: 7, content: 'old' }) });
  assert.equal(conversation(store).lastEntry.content, 'new');
});

test('an update of an entry that is not held yet is taken as the entry', () => {
  const store = storeWith(summary(5));
  store.apply({ event: 'message.updated', data: entry(6, { content: 'edited' }) });
  message(store, entry(6, { change: 5 }));
  assert.equal(conversation(store).lastEntry.content, 'edited');
});

test('an entry beyond a hole is not kept but asked for', () => {
  const store = storeWith(summary(5));
  message(store, entry(8));
  assert.deepEqual(seqs(store), [5]);
  assert.deepEqual([...store.needs.sync], ['p1-2']);
  store.absorbSync({ 'p1-2': { messages: [entry(6), entry(7), entry(8)], hasMore: false, lastSeq: 8, change: 8 } });
  assert.deepEqual(seqs(store), [5, 6, 7, 8]);
  assert.equal(conversation(store).unread, 3);
  assert.equal(store.needs.sync.size, 0);
});

test('a hole in the changes alone is asked for, too', () => {
  const store = storeWith(summary(5));
  message(store, entry(6, { change: 9 }));
  assert.equal(store.needs.sync.has('p1-2'), true);
});

test('a sync that knows nothing new ends the asking', () => {
  const store = storeWith(summary(5));
  message(store, entry(9));
  conversation(store).stand();
  store.absorbSync({ 'p1-2': { messages: [], hasMore: false, lastSeq: 5, change: 5 } });
  assert.equal(store.needs.sync.size, 0);
});

test('a sync that could not carry everything begins the window again at its end', () => {
  const store = storeWith(summary(5));
  conversation(store).absorbNewest({ messages: [entry(4), entry(5)], hasMore: false });
  const messages = Array.from({ length: 50 }, (_, at) => entry(151 + at));
  store.absorbSync({ 'p1-2': { messages, hasMore: true, lastSeq: 200, change: 200, readSeq: 5, unread: 195 } });
  assert.equal(seqs(store)[0], 151);
  assert.equal(conversation(store).hasOlder, true);
  assert.equal(conversation(store).unread, 195);
  conversation(store).absorbOlder({ messages: Array.from({ length: 150 }, (_, at) => entry(1 + at)), hasMore: false });
  assert.deepEqual(
    seqs(store),
    Array.from({ length: 200 }, (_, at) => 1 + at),
  );
  assert.equal(conversation(store).unread, 195);
});

test('a newest page that lies beyond what is held replaces it', () => {
  const store = storeWith(summary(5));
  conversation(store).absorbNewest({ messages: [entry(20), entry(21)], hasMore: true });
  assert.deepEqual(seqs(store), [20, 21]);
});

test('entries that come while the newest page is read are neither lost nor doubled', () => {
  const store = storeWith(summary(5));
  message(store, entry(6), entry(7));
  conversation(store).absorbNewest({ messages: [entry(4), entry(5), entry(6)], hasMore: true });
  assert.deepEqual(seqs(store), [4, 5, 6, 7]);
});

test('a conversation that this user is no longer in disappears', () => {
  for (const lose of [
    (store) => store.absorbSync({ 'p1-2': { removed: true } }),
    (store) => store.apply({ event: 'conversation', data: { conversationId: 'p1-2', kind: 'removed', userChange: 3 } }),
  ]) {
    const store = storeWith(summary(5));
    lose(store);
    assert.equal(store.conversations.size, 0);
    assert.equal(store.needs.summary.size, 0);
  }
});

test('a message of an unknown conversation has it described', () => {
  const store = storeWith();
  message(store, entry(1));
  assert.deepEqual([...store.needs.summary], ['p1-2']);
  store.absorbSummary(summary(1, { unread: 1, readSeq: 0 }));
  assert.deepEqual(seqs(store), [1]);
  assert.equal(store.unreadTotal, 1);
});

test('a message that comes while its conversation is being described has it described again', () => {
  const store = storeWith();
  message(store, entry(1));
  store.needs.summary.clear(); // asked
  message(store, entry(2));
  store.absorbSummary(summary(1, { unread: 1, readSeq: 0 })); // answered as it was before
  assert.deepEqual([...store.needs.summary], ['p1-2']);
});

test('a hole that shows while a sync is on its way is asked for again', () => {
  const store = storeWith(summary(5));
  conversation(store).stand();
  message(store, entry(8));
  store.absorbSync({ 'p1-2': { messages: [], hasMore: false, lastSeq: 5, change: 5 } });
  assert.deepEqual([...store.needs.sync], ['p1-2']);
});

test('what another device has read is read here', () => {
  const store = storeWith(summary(5));
  message(store, entry(6), entry(7), entry(8));
  store.apply({ event: 'unread', data: { conversationId: 'p1-2', readSeq: 7, unread: 1 } });
  assert.equal(conversation(store).unread, 1);
  store.apply({ event: 'unread', data: { conversationId: 'p1-2', readSeq: 6, unread: 2 } });
  assert.equal(conversation(store).unread, 1);
});

test('a count that was overtaken by a message does not hide it', () => {
  const store = storeWith(summary(5));
  message(store, entry(6), entry(7));
  store.apply({ event: 'unread', data: { conversationId: 'p1-2', readSeq: 6, unread: 0 } });
  assert.equal(conversation(store).unread, 1);
});

test('positions make sent, delivered and read, and never go back', () => {
  const store = storeWith(summary(5));
  const mine = entry(6, { senderId: 'u1' });
  message(store, mine);
  const status = () => conversation(store).statusOf(mine);
  assert.equal(status(), 'sent');
  const receipt = (data) => store.apply({ event: 'receipt', data: { conversationId: 'p1-2', userId: 'u2', ...data } });
  receipt({ deliveredSeq: 6 });
  assert.equal(status(), 'delivered');
  receipt({ readSeq: 6 });
  receipt({ deliveredSeq: 3, readSeq: 2 });
  assert.equal(status(), 'read');
});

test('in a group a message is read when all others have read it', () => {
  const store = storeWith(summary(5, { kind: 'group', peer: undefined, memberCount: 3, role: 'owner' }));
  const mine = entry(6, { senderId: 'u1' });
  message(store, mine);
  const member = (id, readSeq) => ({ user: { id, name: id }, role: 'member', deliveredSeq: 6, readSeq });
  store.absorbMembers('p1-2', [member('u1', 6), member('u2', 6), member('u3', 5)]);
  assert.equal(conversation(store).statusOf(mine), 'delivered');
  store.apply({ event: 'receipt', data: { conversationId: 'p1-2', userId: 'u3', readSeq: 6 } });
  assert.equal(conversation(store).statusOf(mine), 'read');
});

test('a notice of members moves their number', () => {
  const store = storeWith(summary(5, { kind: 'group', peer: undefined, memberCount: 3 }));
  const notice = (kind, userIds) => ({ type: 'system', metadata: { notice: { kind, actorId: 'u2', userIds } } });
  message(store, entry(6, notice('added', ['u7', 'u8'])), entry(7, notice('left', ['u3'])));
  assert.equal(conversation(store).memberCount, 4);
});

test('changes of a conversation are taken over, others have it described', () => {
  const store = storeWith(summary(5, { kind: 'group', peer: undefined, name: 'old', role: 'member' }));
  const change = (kind, data) =>
    store.apply({
      event: 'conversation',
      data: { conversationId: 'p1-2', change: conversation(store).change + 1, kind, ...data },
    });
  change('settings', { name: 'new', avatar: null });
  change('roles', { roles: { u1: 'owner', u2: 'admin' } });
  assert.equal(conversation(store).name, 'new');
  assert.equal(conversation(store).role, 'owner');
  assert.equal(store.needs.summary.size + store.needs.sync.size, 0);
  change('something of tomorrow', {});
  assert.deepEqual([...store.needs.summary], ['p1-2']);
});

test('a cleared conversation is empty and read', () => {
  const store = storeWith(summary(5));
  message(store, entry(6));
  store.apply({
    event: 'conversation',
    data: { conversationId: 'p1-2', kind: 'cleared', visibleFrom: 6, userChange: 1 },
  });
  assert.deepEqual(seqs(store), []);
  assert.equal(conversation(store).unread, 0);
});

test('a waiting message becomes the stored one, whether the reply or the event comes first', () => {
  for (const order of [
    ['reply', 'event'],
    ['event', 'reply'],
  ]) {
    const store = storeWith(summary(5));
    store.pending = [{ localId: 'mine', key: 'p1-2', content: 'hi' }];
    const stored = entry(6, { senderId: 'u1', localId: 'mine' });
    for (const way of order) {
      if (way === 'reply') store.absorbSent(stored);
      else message(store, stored);
      assert.equal(store.waiting(conversation(store)).length, 0);
      assert.deepEqual(seqs(store), [5, 6]);
    }
  }
});

test('somebody else’s message with the same localId leaves ours waiting', () => {
  const store = storeWith(summary(5));
  store.pending = [{ localId: 'same', key: 'p1-2', content: 'hi' }];
  message(store, entry(6, { localId: 'same' }));
  assert.equal(store.waiting(conversation(store)).length, 1);
});

test('the first message to a person begins the conversation and takes along what waits for them', () => {
  const store = storeWith();
  store.pending = ['a', 'b'].map((localId) => ({ localId, key: draftKey('u2'), toUser: 'u2', content: localId }));
  store.absorbSent(entry(1, { senderId: 'u1', localId: 'a' }), 'u2');
  assert.equal(store.privateWith('u2').id, 'p1-2');
  assert.deepEqual(seqs(store), [1]);
  assert.deepEqual(
    store.waiting(conversation(store)).map(({ localId }) => localId),
    ['b'],
  );
  assert.deepEqual([...store.needs.summary], ['p1-2']);
});

test('presence that was overtaken is ignored', () => {
  const store = storeWith(summary(5));
  const presence = (number, online) =>
    store.apply({ event: 'presence', data: { userId: 'u2', online, lastSeenAt: null, number } });
  presence(8, true);
  presence(7, false);
  assert.equal(store.person('u2').online, true);
});

test('typing lapses, and ends with the message', () => {
  let now = 0;
  const store = new Store({ now: () => now });
  store.clear(ME);
  store.absorbSummary(summary(5));
  const types = () => store.apply({ event: 'typing', data: { conversationId: 'p1-2', userId: 'u2', typing: true } });
  const typists = () => store.typists.in('p1-2').length;
  types();
  assert.equal(typists(), 1);
  now = 7000;
  assert.equal(typists(), 0);
  types();
  message(store, entry(6));
  assert.equal(typists(), 0);
});

test('events that nobody here knows are ignored', () => {
  const store = storeWith(summary(5));
  for (const event of ['hello', 'tomorrow', 'constructor', '__proto__', 'toString']) store.apply({ event, data: {} });
  assert.deepEqual(seqs(store), [5]);
});

test('pinned conversations come first, then the newest', () => {
  const at = (id, createdAt, more = {}) =>
    summary(1, {
      id,
      lastMessage: entry(1, { conversationId: id, createdAt }),
      peer: undefined,
      kind: 'group',
      ...more,
    });
  const store = storeWith(at('g1', '2026-01-02'), at('g2', '2026-01-03'), at('g3', '2026-01-01', { pinned: true }));
  assert.deepEqual(
    store.ordered().map(({ id }) => id),
    ['g3', 'g2', 'g1'],
  );
});

test('a conversation off screen keeps a page of entries and its count', () => {
  const store = storeWith(summary(5));
  message(store, ...Array.from({ length: 400 }, (_, at) => entry(6 + at)));
  assert.ok(seqs(store).length <= 100);
  assert.equal(conversation(store).unread, 400);
});

// A model of the server, and a network that loses, doubles and mixes what it sends.
function random(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
}

function history(pick) {
  const log = [];
  const stored = new Map();
  for (let change = 1; change <= 60; change += 1) {
    const edit = stored.size > 3 && pick(4) === 0;
    const seq = edit ? 1 + pick(stored.size) : stored.size + 1;
    const before = stored.get(seq) ?? entry(seq, { senderId: pick(3) ? 'u2' : 'u1' });
    stored.set(seq, { ...before, change, content: `text ${seq} at ${change}` });
    log.push({ event: edit ? 'message.updated' : 'message', data: stored.get(seq) });
  }
  return { log, stored: [...stored.values()] };
}

function answer(stored, { seq, change }) {
  const fresh = stored.filter((one) => one.seq > seq);
  const messages = fresh.slice(-50);
  const changed = stored.filter((one) => one.seq <= seq && one.change > change);
  return { messages, hasMore: fresh.length > 50, changed, lastSeq: stored.length, change: 60, readSeq: 0 };
}

test('after any loss, doubling and disorder the page holds what the server holds', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const pick = random(seed);
    const { log, stored } = history(pick);
    const store = storeWith(
      summary(1, { lastMessage: stored[0].change === 1 ? stored[0] : log[0].data, readSeq: 0, unread: 1 }),
    );
    conversation(store).absorbNewest({ messages: [log[0].data], hasMore: false });
    for (const frame of log.slice(1)) {
      if (pick(5) === 0) continue;
      store.apply(frame);
      if (pick(5) === 0) store.apply(log[pick(log.indexOf(frame) + 1)]);
    }
    store.apply(log.at(-1));
    for (let round = 0; store.needs.sync.size; round += 1) {
      assert.ok(round < 5, `seed ${seed}: asks for ever`);
      store.absorbSync({ 'p1-2': answer(stored, conversation(store).stand()) });
    }
    const older = stored.filter(({ seq }) => seq < seqs(store)[0]); // a long loss is read by scrolling back
    if (conversation(store).hasOlder) conversation(store).absorbOlder({ messages: older, hasMore: false });
    assert.deepEqual(conversation(store).entries, stored, `seed ${seed}`);
    assert.equal(conversation(store).unread, stored.filter(({ senderId }) => senderId === 'u2').length, `seed ${seed}`);
  }
});
