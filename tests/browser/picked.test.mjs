// What is known of a chosen file before the server has seen it.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { look } from '../../chat/web/picked.js';

let given; // addresses that are not given back
let decodes; // whether this browser can show what it is given

globalThis.Image = class {
  naturalWidth = 64;
  naturalHeight = 48;
  set src(_) {
    queueMicrotask(() => (decodes ? this.onload() : this.onerror()));
  }
};
URL.createObjectURL = (file) => given.add(`blob:${file.name}`) && `blob:${file.name}`;
URL.revokeObjectURL = (address) => given.delete(address);

beforeEach(() => {
  given = new Set();
  decodes = true;
});

const picked = (name, type) => new File(['bytes'], name, { type });

test('a picture has a preview and its size', async () => {
  for (const type of ['image/jpeg', 'image/png', 'image/gif', 'image/webp']) {
    const { preview, width, height } = await look(picked('lake', type));
    assert.deepEqual([preview, width, height], ['blob:lake', 64, 48]);
  }
});

test('what the server keeps as a file is no picture here, even if this browser could show it', async () => {
  for (const type of ['image/avif', 'image/bmp', 'image/svg+xml', 'image/heic', 'application/pdf', '']) {
    const { preview, width, height } = await look(picked('lake', type));
    assert.deepEqual([preview, width, height], [null, 0, 0], type);
  }
  assert.equal(given.size, 0);
});

test('a broken picture has no preview and keeps no address', async () => {
  decodes = false;
  assert.equal((await look(picked('lake.png', 'image/png'))).preview, null);
  assert.equal(given.size, 0);
});
