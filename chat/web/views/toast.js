/** A sentence that appears for a few seconds. */

import { el } from '../dom.js';

const SHOWN = 4500; // ms: a sentence read twice
const MOST = 3; // at once; the oldest makes room

const shelf = el('div', { class: 'toasts', role: 'status', 'aria-live': 'polite' });

/** Put the shelf into the page once. */
export const toastShelf = () => shelf;

export function toast(sentence) {
  const node = el('p', { class: 'toast' }, sentence);
  while (shelf.childElementCount >= MOST) shelf.firstChild.remove();
  shelf.append(node);
  // A dialog covers the page; what is told meanwhile has to stand above it.
  (document.querySelector('dialog[open]') ?? document.body).append(shelf);
  setTimeout(() => node.remove(), SHOWN);
}
