/** The strip that says that the line is down; not for hiccups that nobody would have noticed. */

import { el } from '../dom.js';
import { say } from '../words.js';

const PATIENCE = 1500; // ms

export class Banner {
  #timer = null;

  constructor({ onRetry }) {
    this.words = el('span');
    this.retry = el('button', { type: 'button', class: 'link', onclick: onRetry }, say('tryNow'));
    this.node = el('div', { class: 'banner', role: 'status', hidden: true }, this.words, this.retry);
  }

  /** `line` is `{state}`: connecting, live, waiting or idle. */
  show({ state }) {
    if (state === 'live' || state === 'idle') {
      clearTimeout(this.#timer);
      this.#timer = null;
      this.node.hidden = true;
      return;
    }
    this.words.textContent = navigator.onLine ? say(state === 'waiting' ? 'waiting' : 'connecting') : say('offline');
    this.retry.hidden = state !== 'waiting';
    this.#timer ??= setTimeout(() => (this.node.hidden = false), PATIENCE);
  }
}
