/**
 * A picture in full size above the page: the browser's own dialog, so Escape closes it and the focus goes back to the
 * picture among the messages. Arrow keys and swipes go through the pictures of the conversation.
 */

import { fullTime } from '../clock.js';
import { el, icon, iconButton } from '../dom.js';
import { captionOf, isPicture } from '../media.js';
import { language, say } from '../words.js';
import { downloadLink } from './filerow.js';

const PAGES = 5; // of history read at one step back in search of an older picture
const SWIPE = 60; // px sideways; less is a finger that trembles

export class Lightbox {
  #entry = null; // the message whose picture is shown
  #touchedAt = null;

  /** `context` is the timeline's; of it `author` and `refresh` are used. */
  constructor(context, conversation, history) {
    Object.assign(this, { context, conversation, history });
    this.img = el('img', { draggable: false });
    this.stage = el('div', { class: 'lightbox-stage' }, this.img, el('span', { class: 'spinner' }));
    this.said = el('div', { class: 'lightbox-said', role: 'status' });
    this.caption = el('p', { class: 'lightbox-caption', dir: 'auto' });
    this.actions = el('span', { class: 'lightbox-actions' });
    this.zoom = iconButton('zoom', say('zoom'), () => this.#toggleZoom(), { 'aria-pressed': 'false' });
    this.older = iconButton('back', say('olderPhoto'), () => this.#step(-1), { class: 'icon-button lightbox-older' });
    this.newer = iconButton('next', say('newerPhoto'), () => this.#step(1), { class: 'icon-button lightbox-newer' });
    this.node = this.#dialog();
  }

  open(entry) {
    document.body.append(this.node);
    this.node.showModal();
    this.#show(entry);
  }

  #dialog() {
    const close = iconButton('close', say('close'), () => this.node.close(), { autofocus: true });
    const head = el('header', { class: 'lightbox-head' }, this.said, this.zoom, this.actions, close);
    const parts = [head, this.stage, this.older, this.newer, this.caption];
    const node = el('dialog', { class: 'lightbox', 'aria-label': say('photo') }, parts);
    node.addEventListener('close', () => node.remove());
    node.addEventListener('keydown', (event) => this.#key(event));
    this.stage.addEventListener('click', ({ target }) => (target === this.img ? this.#toggleZoom() : node.close()));
    this.stage.addEventListener('touchstart', (event) => this.#touched(event), { passive: true });
    this.stage.addEventListener('touchend', (event) => this.#swiped(event), { passive: true });
    return node;
  }

  #show(entry) {
    this.#entry = entry;
    const { media, senderId, createdAt } = entry;
    const { name } = this.context.author(senderId);
    const caption = captionOf(entry);
    this.img.alt = caption || say('photoFrom', { name });
    this.said.replaceChildren(el('bdi', {}, name), el('time', { datetime: createdAt }, fullTime(createdAt, language)));
    this.caption.textContent = caption;
    this.caption.hidden = !caption;
    this.#zoomed(false);
    this.#sizes(media);
    this.actions.replaceChildren(this.#download(entry));
    this.older.setAttribute('aria-disabled', String(!this.#neighbour(-1) && !this.conversation.hasOlder));
    this.newer.setAttribute('aria-disabled', String(!this.#neighbour(1)));
    this.#load(entry);
  }

  /** Never larger than it is, never larger than the screen; the thumbnail fills the same place meanwhile. */
  #sizes({ width, height }) {
    this.img.style.maxWidth = width ? `${width}px` : '';
    this.img.style.maxHeight = height ? `${height}px` : '';
    this.stage.style.setProperty('--width', width ? `${width}px` : 'auto');
  }

  #download(entry) {
    const label = say('download');
    const look = { class: 'icon-button', 'aria-label': label, title: label };
    return downloadLink(look, entry, this.context.refresh, icon('download'));
  }

  /** The thumbnail at once, the picture as soon as it is there; an expired address is asked for anew, once. */
  async #load(entry, renewed = false) {
    const { url, thumbnailUrl } = entry.media;
    const isCurrent = () => this.#entry.seq === entry.seq && this.node.open;
    this.node.dataset.state = 'loading';
    if (!renewed) this.img.src = thumbnailUrl ?? url;
    const whole = await loaded(url);
    if (!isCurrent()) return;
    if (whole) {
      this.img.src = url;
      this.node.dataset.state = 'shown';
      return;
    }
    const fresh = renewed ? null : await this.context.refresh(entry);
    if (!isCurrent()) return;
    if (fresh) this.#renew(fresh);
    else this.#break();
  }

  #renew(entry) {
    this.#entry = entry;
    this.actions.replaceChildren(this.#download(entry));
    this.#load(entry, true);
  }

  #break() {
    this.node.dataset.state = 'broken';
    this.caption.hidden = false;
    this.caption.textContent = say('photoBroken');
  }

  /** The next picture of the conversation before (-1) or after (1) this one, of those on this page. */
  #neighbour(direction) {
    const pictures = this.conversation.entries.filter(isPicture);
    const { seq } = this.#entry;
    return direction < 0 ? pictures.findLast((one) => one.seq < seq) : pictures.find((one) => one.seq > seq);
  }

  async #step(direction) {
    const from = this.#entry;
    let next = this.#neighbour(direction);
    for (let page = 0; !next && direction < 0 && this.conversation.hasOlder && page < PAGES; page += 1) {
      await this.history.older();
      next = this.#neighbour(direction);
    }
    if (next && this.#entry === from && this.node.open) this.#show(next);
  }

  #key(event) {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!direction || this.stage.classList.contains('actual')) return; // enlarged, arrows move the picture
    event.preventDefault();
    this.#step(direction);
  }

  #toggleZoom() {
    this.#zoomed(!this.stage.classList.contains('actual'));
  }

  #zoomed(yes) {
    this.stage.classList.toggle('actual', yes);
    this.zoom.setAttribute('aria-pressed', String(yes));
  }

  #touched({ touches }) {
    const isPinch = touches.length > 1 || window.visualViewport?.scale > 1;
    this.#touchedAt = isPinch ? null : touches[0].clientX;
  }

  #swiped({ changedTouches }) {
    const by = this.#touchedAt === null ? 0 : changedTouches[0].clientX - this.#touchedAt;
    if (Math.abs(by) > SWIPE && !this.stage.classList.contains('actual')) this.#step(by > 0 ? -1 : 1);
  }
}

/** Whether the browser could load and read this picture, which is then at hand. */
async function loaded(address) {
  const image = new Image();
  image.src = address;
  return image.decode().then(
    () => true,
    () => false,
  );
}
