// What a message carries: its size on the page, its words, and which of two answers is right.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  boxOf,
  captionOf,
  isExpired,
  isPicture,
  mediaOf,
  pathOf,
  placeholderOf,
  plainName,
  sizeWords,
  waitingEntry,
} from '../../chat/web/media.js';

const media = { id: 'a', kind: 'image', url: '/uploads/images/a.png?e=1&s=x', width: 800, height: 600, size: 1 };

test('a picture keeps its shape and is never larger than its place', () => {
  assert.deepEqual(boxOf({ width: 4000, height: 3000 }), { width: 320, height: 240, padded: false });
  assert.deepEqual(boxOf({ width: 3000, height: 6000 }), { width: 160, height: 320, padded: false });
  assert.deepEqual(boxOf({ width: 200, height: 150 }), { width: 200, height: 150, padded: false });
});

test('a picture that is tiny, very long or of unknown size has a place that can be hit', () => {
  assert.deepEqual(boxOf({ width: 16, height: 16 }), { width: 96, height: 96, padded: true });
  assert.deepEqual(boxOf({ width: 10000, height: 100 }), { width: 320, height: 96, padded: true });
  assert.deepEqual(boxOf({}), { width: 320, height: 240, padded: false });
});

test('what the server puts in the place of words is no caption', () => {
  assert.equal(captionOf({ type: 'image', content: '[image]', media }), '');
  assert.equal(captionOf({ type: 'image', content: 'The lake', media }), 'The lake');
  assert.equal(captionOf({ type: 'file', content: 'a.pdf', media: { kind: 'file', name: 'a.pdf' } }), '');
});

test('a picture sent as a file is a file, and what was recalled carries nothing', () => {
  assert.equal(isPicture({ type: 'image', media }), true);
  assert.equal(isPicture({ type: 'file', media }), false);
  assert.equal(isPicture({ type: 'text', content: 'x' }), false);
  assert.equal(mediaOf({ type: 'image', media, recalledAt: '2026-01-01' }), null);
});

test('sizes are told as people tell them', () => {
  const words = [1, 900, 2048, 3.25 * 1024 ** 2, 10 * 1024 ** 2, 123 * 1024 ** 2].map((n) => sizeWords(n, 'en'));
  assert.equal(sizeWords(10 * 1024 ** 2 + 1, 'en', { up: true }), '10.1 MB');
  assert.deepEqual(words, ['1 byte', '900 bytes', '2 kB', '3.3 MB', '10 MB', '123 MB']);
});

test('no sign in a name turns its end around', () => {
  assert.equal(plainName('photo\u202egpj.exe'), 'photogpj.exe');
  assert.equal(plainName('תמונה.png'), 'תמונה.png');
  assert.equal(plainName(undefined), '');
});

test('the same picture is known by its path, and an address says when it ends', () => {
  assert.equal(pathOf(media.url), '/uploads/images/a.png');
  assert.equal(pathOf(undefined), '');
  assert.equal(isExpired('/a?e=100&s=x', 99_000), false);
  assert.equal(isExpired('/a?e=100&s=x', 101_000), true);
  assert.equal(isExpired('blob:x', 1), false);
});

test('only a small picture that is in the address itself stands for one', () => {
  assert.equal(placeholderOf({ placeholder: 'data:image/webp;base64,UklGRg==' }), 'data:image/webp;base64,UklGRg==');
  for (const placeholder of [
    'https://elsewhere.example/x.png',
    'data:image/svg+xml;base64,AAAA',
    'data:image/png;base64,A")',
    null,
  ])
    assert.equal(placeholderOf({ placeholder }), null, placeholder);
});

test('what a file is, the server says; until then this browser', () => {
  const file = { name: 'a.heic', size: 5, mimeType: '', width: 0, height: 0 };
  const waiting = { localId: 'x', content: '', file, media: null };
  assert.equal(waitingEntry({ localId: 'x', content: 'hi' }, 'u1').type, 'text');
  assert.equal(waitingEntry(waiting, 'u1').type, 'file');
  const uploaded = waitingEntry({ ...waiting, media }, 'u1');
  assert.deepEqual([uploaded.type, uploaded.media.width, uploaded.media.id], ['image', 800, 'a']);
});
