/** A small sheet of emoji above the composer; the keyboards of phones and desktops have the rest. */

import { el, iconButton } from '../dom.js';
import { say } from '../words.js';

const EMOJI =
  '😀 😄 😂 🤣 😊 😉 😍 😘 😎 🤔 😐 🙄 😏 😴 😢 😭 😡 😱 🥳 🤯 🤗 🤝 👍 👎 👏 🙏 💪 👌 ✌️ 👋 ❤️ 💔 🔥 ✨ ⭐ 🎉 🎂 🎁 🌹 ☕ 🍜 🍻 🌧️ ☀️ 🌙 ✅ ❌ ❓ 💯 🚀';

export class EmojiPicker {
  /** `onPick(emoji)` is called with the one that was chosen. */
  constructor(onPick) {
    this.onPick = onPick;
    this.button = iconButton('smile', say('emoji'), () => this.#show(this.panel.hidden), { 'aria-expanded': 'false' });
    this.panel = el('div', { class: 'emoji-panel', role: 'group', 'aria-label': say('emoji'), hidden: true });
    this.panel.addEventListener('keydown', (event) => this.#key(event));
    this.panel.addEventListener('pointerdown', (event) => event.preventDefault()); // a press must not move the focus out
    this.panel.addEventListener('focusout', ({ relatedTarget }) => this.#left(relatedTarget));
  }

  #show(open) {
    if (!this.panel.childElementCount) this.panel.append(...EMOJI.split(' ').map((emoji) => this.#choice(emoji)));
    this.panel.hidden = !open;
    this.button.setAttribute('aria-expanded', String(open));
    if (open) this.panel.firstChild.focus();
  }

  #choice(emoji) {
    return el('button', { type: 'button', class: 'emoji', onclick: () => this.onPick(emoji) }, emoji);
  }

  #key(event) {
    if (event.key === 'Escape') {
      this.#show(false);
      this.button.focus();
    }
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (!step) return;
    const keys = [...this.panel.children];
    keys[keys.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  }

  #left(to) {
    if (!this.panel.contains(to) && !this.button.contains(to)) this.#show(false);
  }
}
