/** Where one writes. Enter sends, Shift+Enter breaks the line; an Enter that ends an IME composition does neither. */

import { el, iconButton } from '../dom.js';
import { say } from '../words.js';
import { EmojiPicker } from './emoji.js';
import { Tray } from './tray.js';

const MOST_ROWS_HIGH = 160; // px; then the field scrolls
const COUNT_FROM = 200; // characters left at which they are counted down
const drafts = new Map(); // conversation id -> text not sent; of this page's life, one short text each

/** With a finger there is no Shift: Enter breaks the line and the button sends. */
const touchOnly = matchMedia('(hover: none) and (pointer: coarse)');

export class Composer {
  /**
   * `onSend(text, files)` returns whether they were taken; `onEdit(text)` is called at every change of the text.
   * `limit` is the most characters, `fileLimit()` the most bytes of a file.
   */
  constructor({ id, limit, fileLimit, onSend, onEdit }) {
    Object.assign(this, { id, limit, onSend, onEdit });
    this.tray = new Tray({ id, limit: fileLimit, onChange: () => this.#fit() });
    this.input = el('textarea', {
      rows: 1,
      placeholder: say('writeMessage'),
      'aria-label': say('writeMessage'),
      value: drafts.get(id) ?? '',
      enterKeyHint: touchOnly.matches ? 'enter' : 'send',
      dir: 'auto',
    });
    this.sendButton = iconButton('send', say('send'), () => this.#send(), { class: 'icon-button send' });
    this.count = el('span', { class: 'count', role: 'status', hidden: true });
    this.emoji = new EmojiPicker((emoji) => this.#insert(emoji));
    const field = el('div', { class: 'composer-field' }, this.emoji.button, this.input, this.count, this.#attach());
    this.node = el(
      'form',
      { class: 'composer', onsubmit: (event) => event.preventDefault() },
      this.emoji.panel,
      this.tray.node,
      el('div', { class: 'composer-line' }, field, this.sendButton),
    );
    this.input.addEventListener('keydown', (event) => this.#key(event));
    this.input.addEventListener('input', () => this.#edited());
    this.#fit();
  }

  focus() {
    if (!touchOnly.matches) this.input.focus(); // on a phone that would raise the keyboard
  }

  /** Put files beside the text, to be sent with it. */
  async add(files) {
    await this.tray.add(files);
    this.focus();
  }

  /** Grown to its text; called once it is on the page. */
  fit() {
    this.#fit();
  }

  /** The button for pictures, and the browser's own chooser behind it. */
  #attach() {
    const chooser = el('input', { type: 'file', accept: 'image/*', multiple: true, hidden: true });
    chooser.addEventListener('change', async () => {
      await this.add([...chooser.files]);
      chooser.value = ''; // the same picture may be chosen again
    });
    return [iconButton('image', say('addPhotos'), () => chooser.click()), chooser];
  }

  #key(event) {
    const composing = event.isComposing || event.keyCode === 229; // Safari reports the ending Enter by 229 only
    if (event.key !== 'Enter' || event.shiftKey || composing || touchOnly.matches) return;
    event.preventDefault();
    this.#send();
  }

  #edited() {
    const text = this.input.value;
    if (text) drafts.set(this.id, text);
    else drafts.delete(this.id);
    this.#fit();
    this.onEdit(text);
  }

  #send() {
    const text = this.input.value.trim();
    const { picked } = this.tray;
    if ((!text && !picked.length) || this.#left() < 0 || !this.onSend(text, picked)) return;
    this.tray.empty();
    this.input.value = '';
    drafts.delete(this.id);
    this.#fit();
    this.focus();
  }

  #insert(emoji) {
    this.input.setRangeText(emoji, this.input.selectionStart, this.input.selectionEnd, 'end');
    this.input.focus();
    this.#edited();
  }

  /** Characters as people count them, not UTF-16 units. */
  #left() {
    return this.limit - [...this.input.value.trim()].length;
  }

  #fit() {
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight, MOST_ROWS_HIGH)}px`;
    const left = this.#left();
    const { length } = this.tray.picked;
    this.sendButton.disabled = (!this.input.value.trim() && !length) || left < 0;
    this.#call(say(length ? 'addCaption' : 'writeMessage'));
    this.count.hidden = left > COUNT_FROM;
    this.count.classList.toggle('over', left < 0);
    if (!this.count.hidden) this.count.textContent = say('charactersLeft', { count: left });
  }

  #call(words) {
    if (this.input.placeholder === words) return;
    this.input.placeholder = words;
    this.input.setAttribute('aria-label', words);
  }
}
