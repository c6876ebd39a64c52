// The small pure parts: what the timeline shows, times, texts, addresses, waiting.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dayName, daysAgo, shortTime } from '../../chat/web/clock.js';
import { backoff } from '../../chat/web/backoff.js';
import { parseRoute, toConversation, toJoin } from '../../chat/web/route.js';
import { initials, isFewEmoji, partsOf } from '../../chat/web/text.js';
import { itemsOf } from '../../chat/web/views/items.js';

const WORDS = { today: 'Today', yesterday: 'Yesterday' };

const said = (seq, senderId, minute, more = {}) => ({
  seq,
  senderId,
  localId: `l${seq}`,
  type: 'text',
  content: `text ${seq}`,
  createdAt: new Date(2026, 0, 2, 10, minute).toISOString(),
  ...more,
});

const items = (entries, more = {}) =>
  itemsOf({
    entries,
    waiting: [],
    me: 'u1',
    newAfter: null,
    statusOf: () => 'sent',
    dayOf: (iso) => iso.slice(0, 10),
    ...more,
  });

test('days are told apart and messages of one person stand together', () => {
  const shown = items([said(1, 'u2', 0), said(2, 'u2', 1), said(3, 'u1', 2), said(4, 'u2', 30), said(5, 'u2', 45)]);
  assert.deepEqual(
    shown.map(({ kind }) => kind),
    ['day', 'message', 'message', 'message', 'message', 'message'],
  );
  assert.deepEqual(
    shown.slice(1).map(({ first, last }) => [first, last]),
    [
      [true, false],
      [false, true],
      [true, true],
      [true, true],
      [true, true],
    ],
  );
});

test('the line above what is new stands above the first message of somebody else', () => {
  const shown = items([said(1, 'u2', 0), said(2, 'u1', 1), said(3, 'u2', 2)], { newAfter: 1 });
  assert.deepEqual(shown.map(({ key }) => key).slice(1), ['seq 1', 'local l2', 'new', 'seq 3']);
});

test('an own message keeps its key from waiting to stored', () => {
  const [waiting] = items([], { waiting: [{ localId: 'x', content: 'hi', createdAt: '2026-01-02', error: null }] });
  const [, stored] = items([said(1, 'u1', 0, { localId: 'x' })]);
  assert.equal(waiting.key, stored.key);
  assert.equal(waiting.status, 'sending');
});

test('days are counted by the calendar, not by hours', () => {
  assert.equal(daysAgo(new Date(2026, 2, 28, 23, 59), new Date(2026, 2, 29, 0, 1)), 1);
  assert.equal(daysAgo(new Date(2026, 2, 28, 0, 1), new Date(2026, 2, 30, 23, 59)), 2);
  const now = new Date(2026, 5, 10, 12);
  assert.equal(dayName(new Date(2026, 5, 10, 1).toISOString(), 'en', WORDS, now), 'Today');
  assert.equal(dayName(new Date(2026, 5, 9, 23).toISOString(), 'en', WORDS, now), 'Yesterday');
  assert.equal(dayName(new Date(2025, 5, 9).toISOString(), 'en-GB', WORDS, now), '9 Jun 2025');
  assert.equal(shortTime(new Date(2026, 4, 9).toISOString(), 'en-GB', WORDS, now), '9 May');
});

test('web addresses are found, and the end of the sentence is not part of them', () => {
  const hrefs = (text) => partsOf(text).flatMap(({ href }) => href ?? []);
  assert.deepEqual(hrefs('see https://a.example/b_(c), and (http://d.example/?x=1).'), [
    'https://a.example/b_(c)',
    'http://d.example/?x=1',
  ]);
  assert.deepEqual(hrefs('看https://a.example/好，再见'), ['https://a.example/好']);
  assert.deepEqual(hrefs('javascript:alert(1) data:text/html,x https:// ftp://x'), []);
  const text = 'a https://a.example/. b <img src=x> https://b.example';
  assert.equal(
    partsOf(text)
      .map((part) => part.text)
      .join(''),
    text,
  );
});

test('one to three emoji are large, digits and words are not', () => {
  for (const text of ['👍', '👍🏽', '👨‍👩‍👧 🇨🇳', '❤️🎉✨']) assert.equal(isFewEmoji(text), true, text);
  for (const text of ['', '1', '#', 'ok 👍', '🎉🎉🎉🎉', '©']) assert.equal(isFewEmoji(text), text === '©', text);
});

test('a name without a picture is shown by its letters', () => {
  assert.deepEqual(['Ada Lovelace', '王小明', 'bo', '  ', '👩‍🚀 x'].map(initials), ['AL', '小明', 'B', '?', '👩X']);
});

test('addresses name a place and come back unharmed', () => {
  assert.deepEqual(parseRoute(toConversation('p1-2')), { place: 'conversation', id: 'p1-2' });
  assert.deepEqual(parseRoute(toJoin('a/b %')), { place: 'join', id: 'a/b %' });
  for (const hash of ['', '#', '#/c/', '#/x/1', '#/c/%E0%A4%A']) assert.equal(parseRoute(hash).place, 'list');
});

test('waiting grows to half a minute and is never the same for everybody', () => {
  assert.equal(
    backoff(0, () => 0),
    250,
  );
  assert.equal(
    backoff(0, () => 1),
    500,
  );
  assert.equal(
    backoff(50, () => 1),
    30000,
  );
});
