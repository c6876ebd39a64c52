/** The nodes of the timeline: a message's bubble, a notice, a day, the line above what is new. */

import { dayName, fullTime, timeOfDay } from '../clock.js';
import { el } from '../dom.js';
import { captionOf, isPicture, mediaOf } from '../media.js';
import { isFewEmoji, partsOf } from '../text.js';
import { dayWords, language, say } from '../words.js';
import { Attached } from './attached.js';
import { avatar } from './avatar.js';
import { ticks } from './ticks.js';

/** A text as nodes: words as they are, web addresses as links that tell the other side nothing. */
function textNodes(text) {
  const link = (part) =>
    el('a', { href: part.href, target: '_blank', rel: 'noopener noreferrer nofollow', class: 'text-link' }, part.text);
  return partsOf(text).map((part) => (part.href ? link(part) : part.text));
}

/** Refusals of a file that a second attempt does not change. */
const HOPELESS = new Set(['too_large', 'http_413', 'unsupported_media', 'file_lost']);

const MADE = {
  day: () => el('li', { class: 'day', role: 'separator' }, el('span')),
  new: () => el('li', { class: 'new-line', role: 'separator' }, el('span', {}, say('newMessages'))),
  notice: () => el('li', { class: 'notice' }, el('span')),
  message: () => el('li'),
};

/** One item of the timeline on the page. `draw` changes only what differs, so that a selection survives a tick. */
export class ItemView {
  #body = '';
  #meta = '';

  /**
   * `context`: `{author(id) → {id, name, avatar}, isGroup, statusLabel(item), reason(message), outbox}` and for what
   * messages carry `{preview(localId), share(localId), refresh(entry), openPicture(entry), lives()}`.
   */
  constructor(item, context) {
    this.context = context;
    this.node = MADE[item.kind]();
    if (item.kind === 'message') this.#build();
  }

  draw(item) {
    if (item.kind === 'day') this.#say(dayName(item.entry.createdAt, language, dayWords));
    else if (item.entry?.seq) this.node.dataset.seq = item.entry.seq;
    if (item.kind === 'notice') this.#say(item.entry.content);
    if (item.kind === 'message') this.#drawMessage(item);
  }

  #drawMessage(item) {
    this.#drawBody(item);
    this.#drawMeta(item);
    const shape = mediaOf(item.entry) && (isPicture(item.entry) ? 'with-picture' : 'with-file');
    const bare = shape && !this.text.textContent && 'bare';
    const place = [item.first && 'first', item.last && 'last', this.jumbo && 'jumbo', shape, bare, item.status];
    this.node.className = ['message', item.mine ? 'mine' : 'theirs', ...place.filter(Boolean)].join(' ');
  }

  #say(words) {
    if (this.node.firstChild.textContent !== words) this.node.firstChild.textContent = words;
  }

  #build() {
    this.face = el('span', { class: 'face-place' });
    this.author = el('span', { class: 'author' });
    this.text = el('span', { class: 'text', dir: 'auto' });
    this.meta = el('span', { class: 'meta' });
    this.after = el('div', { class: 'after' });
    this.attached = new Attached(this.context);
    this.bubble = el('div', { class: 'bubble' }, this.author, this.attached.node, this.text, this.meta);
    this.node.append(this.face, el('div', { class: 'column' }, this.bubble, this.after));
  }

  #drawBody(item) {
    const { entry, mine, first } = item;
    this.attached.draw(item);
    this.bubble.style.setProperty('--wide', `${this.attached.width ?? 0}px`);
    const shown = this.context.isGroup && !mine && first ? this.context.author(entry.senderId) : null;
    const words = mediaOf(entry) ? captionOf(entry) : entry.content;
    const signature = JSON.stringify([words, entry.recalledAt, shown]);
    if (signature === this.#body) return;
    this.#body = signature;
    this.face.replaceChildren(...(shown ? [avatar(shown, { size: 'small' })] : []));
    this.author.textContent = shown?.name ?? '';
    this.author.hidden = !shown;
    this.text.replaceChildren(...(entry.recalledAt ? [say('recalled')] : textNodes(words)));
    this.text.classList.toggle('recalled', Boolean(entry.recalledAt));
    this.jumbo = !entry.recalledAt && !entry.media && isFewEmoji(entry.content);
  }

  #drawMeta(item) {
    const label = item.mine ? this.context.statusLabel(item) : '';
    const signature = JSON.stringify([item.entry.createdAt, item.entry.editedAt, label, item.entry.error]);
    if (signature === this.#meta) return;
    this.#meta = signature;
    this.meta.title = label;
    this.meta.replaceChildren(...this.#metaParts(item, label));
    this.after.replaceChildren(...(item.status === 'failed' ? this.#wayOut(item.entry) : []));
  }

  #metaParts({ entry, mine, status }, label) {
    const { createdAt, editedAt } = entry;
    const title = fullTime(createdAt, language);
    const time = el('time', { datetime: createdAt, title }, timeOfDay(createdAt, language));
    return [editedAt ? `${say('edited')} ` : '', time, ...(mine ? [ticks(status, label)] : [])];
  }

  /** A message that was refused says why, and can be tried again or thrown away. */
  #wayOut(message) {
    const { localId, error } = message;
    const { outbox, reason } = this.context;
    const button = (key, act) => el('button', { type: 'button', class: 'link', onclick: act }, say(key));
    return [
      el('span', { class: 'reason', role: 'alert' }, say('notSent', { reason: reason(message) })),
      ...(HOPELESS.has(error.code) ? [] : [button('retry', () => outbox.retry(localId))]),
      button('discard', () => outbox.discard(localId)),
    ];
  }
}
