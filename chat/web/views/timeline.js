/**
 * The messages of one conversation: scrolls back through history, stays at the end while one is there, and
 * knows which entries have really been in view.
 */

import { dayOf } from '../clock.js';
import { arrange, el, iconButton } from '../dom.js';
import { say } from '../words.js';
import { itemsOf } from './items.js';
import { Lightbox } from './lightbox.js';
import { ItemView } from './message.js';
import { personName } from './naming.js';
import { typingBubble } from './typingbubble.js';

const NEAR_END = 60; // px from the end that still count as being there
const NEAR_START = 800; // px from the start at which older entries are fetched, before they are needed
const KEPT_AT_END = 300; // entries; what was scrolled through is let go when the reader is back at the end

export class Timeline {
  #views = new Map(); // item key -> ItemView; those on the page and no others
  #atEnd = true;

  /** `history` reads pages (history.js); `onSeen(seq)` is called with the last entry in view. */
  constructor(app, conversation, { history, onSeen }) {
    Object.assign(this, { app, conversation, history, onSeen, newAfter: null, placed: false });
    this.list = el('ol', { class: conversation.kind === 'group' ? 'messages grouped' : 'messages' });
    this.head = el('div', { class: 'history-head' });
    const log = { class: 'scroller', role: 'log', 'aria-label': say('messages'), tabIndex: 0 };
    this.scroller = el('div', log, this.head, this.list);
    this.jump = iconButton('down', say('toNewest'), () => this.toEnd(), { class: 'jump', hidden: true });
    this.node = el('div', { class: 'timeline' }, this.scroller, this.jump);
    this.scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.resized = new ResizeObserver(() => this.#atEnd && this.#stick());
    this.resized.observe(this.scroller);
    this.context = this.#context();
  }

  /** Not shown any more. */
  leave() {
    this.resized.disconnect();
    this.conversation.rest();
  }

  render() {
    this.#markNew();
    const fromEnd = this.scroller.scrollHeight - this.scroller.scrollTop;
    const first = this.list.querySelector('[data-seq]')?.dataset.seq;
    this.#draw();
    if (!this.placed) this.#place();
    else if (this.#atEnd) this.#stick();
    else if (first !== this.list.querySelector('[data-seq]')?.dataset.seq)
      this.scroller.scrollTop = this.scroller.scrollHeight - fromEnd;
    this.#drawJump();
    this.#look();
  }

  /** To the newest entry, as after sending. */
  toEnd() {
    this.#atEnd = true;
    this.#stick();
    this.render();
  }

  /** The line above what is new has done its duty. */
  forgetNew() {
    this.newAfter = null;
  }

  #context() {
    const { store, outbox, attachments, uploads } = this.app;
    const { conversation, history } = this;
    return {
      outbox,
      isGroup: conversation.kind === 'group',
      author: (id) => ({ ...store.person(id), id, name: personName(store, id) }),
      statusLabel: (item) => this.#statusLabel(item),
      reason: (message) => this.app.reason(message),
      preview: (localId) => attachments.preview(localId),
      share: (localId) => uploads.share(localId),
      refresh: (entry) => history.refresh(entry),
      openPicture: (entry) => new Lightbox(this.context, conversation, history).open(entry),
      lives: () => this.app.lives,
    };
  }

  #statusLabel({ status, entry }) {
    if (status === 'failed') return say('notSent', { reason: '' });
    const { read, of } = this.conversation.positions.reach(entry.seq, this.app.store.me.id);
    const some = this.conversation.kind === 'group' && entry.seq && read > 0 && read < of;
    return some ? say('readBy', { read, of }) : say(status);
  }

  #draw() {
    const { conversation, app, newAfter } = this;
    const statusOf = (entry) => conversation.statusOf(entry);
    const waiting = app.store.waiting(conversation);
    const items = itemsOf({ entries: conversation.entries, waiting, me: app.store.me.id, newAfter, statusOf, dayOf });
    const views = items.map((item) => this.#view(item));
    this.#forget(new Set(items.map(({ key }) => key)));
    const typing = typingBubble(app.store, conversation);
    arrange(this.list, [...views.map(({ node }) => node), ...(typing ? [typing] : [])]);
    this.#drawHead(items.length);
  }

  #view(item) {
    const view = this.#views.get(item.key) ?? new ItemView(item, this.context);
    this.#views.set(item.key, view);
    view.draw(item);
    return view;
  }

  #forget(keys) {
    for (const key of this.#views.keys()) if (!keys.has(key)) this.#views.delete(key);
  }

  #drawHead(count) {
    const { conversation, history } = this;
    const state = history.failed
      ? 'failed'
      : !conversation.opened || (history.loading && conversation.hasOlder)
        ? 'loading'
        : conversation.hasOlder
          ? 'more'
          : count
            ? 'start'
            : 'empty';
    if (state === this.head.dataset.state) return;
    this.head.dataset.state = state;
    this.head.replaceChildren(...this.#headOf(state));
  }

  #headOf(state) {
    if (state === 'failed')
      return [
        el('p', {}, say('couldNotLoad')),
        el('button', { type: 'button', class: 'button', onclick: () => this.history.again() }, say('retry')),
      ];
    if (state === 'loading' || state === 'more')
      return [el('span', { class: 'spinner', role: 'status', 'aria-label': say('loadingOlder') })];
    return [el('p', {}, say(state === 'start' ? 'beginning' : 'sayHello'))];
  }

  /** The line above what is new: where reading stopped, while the conversation is looked at. */
  #markNew() {
    const { conversation } = this;
    if (this.newAfter === null && conversation.unread > 0 && (!this.placed || !this.app.attentive))
      this.newAfter = conversation.readSeq;
  }

  /** The first time: at the line above what is new, else at the end. */
  #place() {
    if (!this.conversation.opened) return this.#stick();
    this.placed = true;
    const line = this.list.querySelector('.new-line');
    if (line) this.scroller.scrollTop = line.offsetTop - this.scroller.clientHeight / 4;
    else this.#stick();
    this.#atEnd = this.#isAtEnd();
  }

  #stick() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #scrolled() {
    this.#atEnd = this.#isAtEnd();
    this.#drawJump();
    this.#look();
  }

  #drawJump() {
    const { unread } = this.conversation;
    this.jump.hidden = this.#atEnd;
    this.jump.dataset.count = unread > 0 ? unread : '';
  }

  /** After every scroll and every drawing: what was seen, and is more history wanted? */
  #look() {
    if (this.#atEnd && this.conversation.entries.length > 2 * KEPT_AT_END) this.conversation.rest(KEPT_AT_END);
    if (this.placed && this.scroller.scrollTop < NEAR_START) this.history.older();
    if (this.placed && this.app.attentive) this.onSeen(this.#lastSeen());
  }

  /** The newest entry whose end is in view; at the end of the list that is the newest one. */
  #lastSeen() {
    if (this.#atEnd) return this.conversation.heldSeq;
    const bottom = this.scroller.scrollTop + this.scroller.clientHeight;
    const nodes = this.list.querySelectorAll('[data-seq]');
    for (let at = nodes.length - 1; at >= 0; at -= 1) {
      if (nodes[at].offsetTop + nodes[at].offsetHeight <= bottom + 8) return Number(nodes[at].dataset.seq);
    }
    return 0;
  }
}
