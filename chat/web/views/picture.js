/**
 * A picture among the messages: in its right size from the first moment, loaded when it comes near, and the same
 * element from the preview of what waits to what is stored, so that nothing flickers or jumps.
 */

import { el, icon } from '../dom.js';
import { boxOf, captionOf, pathOf, placeholderOf } from '../media.js';
import { say } from '../words.js';

export class Picture {
  #showing = ''; // path of what the element shows or is loading
  #state = 'empty'; // empty, loading, shown, broken
  #renewed = false; // the address has been asked for anew since one worked
  #brokenAt = -1; // the life of the line in which it broke

  /** `context` is the timeline's; of it `preview`, `author`, `refresh`, `openPicture` and `lives` are used. */
  constructor(context) {
    this.context = context;
    this.img = el('img', { loading: 'lazy', decoding: 'async', draggable: false });
    this.img.addEventListener('load', () => this.#is('shown'));
    this.img.addEventListener('error', () => this.#failed());
    this.node = el('button', { type: 'button', class: 'picture', onclick: () => this.#pressed() }, this.img);
  }

  draw(entry) {
    this.entry = entry;
    this.#size(entry.media);
    const words = captionOf(entry) || say('photoFrom', { name: this.context.author(entry.senderId).name });
    if (this.img.alt !== words) this.img.alt = words;
    this.node.disabled = !entry.seq;
    if (this.#state === 'broken' && this.context.lives() > this.#brokenAt) this.#tryAgain();
    this.#show(this.#address());
  }

  /** Where the picture is: the server's once it is stored, what this page has itself until then. */
  #address() {
    const { localId, seq, media } = this.entry;
    const stored = media.thumbnailUrl ?? media.url ?? '';
    return seq ? stored : (this.context.preview(localId) ?? stored);
  }

  #size({ width, height, placeholder }) {
    const signature = `${width} ${height} ${placeholder}`;
    if (signature === this.sized) return;
    this.sized = signature;
    const box = boxOf({ width, height });
    this.width = box.width;
    this.node.style.maxWidth = `${box.width}px`;
    this.node.style.aspectRatio = `${box.width} / ${box.height}`;
    this.node.classList.toggle('padded', box.padded);
    const small = placeholderOf({ placeholder });
    this.node.style.backgroundImage = small ? `url("${small}")` : '';
  }

  /** The same picture under a newer signature is not loaded again. */
  #show(address) {
    const path = pathOf(address);
    if (!path || path === this.#showing || this.#state === 'broken') return;
    this.#showing = path;
    if (this.#state === 'shown') this.#exchange(address, path);
    else this.#load(address);
  }

  #load(address) {
    this.#is('loading');
    this.img.src = address;
  }

  /** One picture takes another's place in one step: the next is ready before the first goes. */
  async #exchange(address, path) {
    const next = new Image();
    next.src = address;
    await next.decode().catch(() => {}); // the element itself finds out
    if (this.#showing === path) this.img.src = address;
  }

  /** The signature of an address expires: a page that was open for days asks for a new one, once. */
  async #failed() {
    if (!this.entry.seq) return;
    const fresh = this.#renewed ? null : await this.context.refresh(this.entry);
    this.#renewed = true;
    if (!fresh) return this.#break();
    this.entry = fresh;
    this.#load(this.#address());
  }

  #break() {
    this.#brokenAt = this.context.lives();
    this.#is('broken');
  }

  #tryAgain() {
    this.#renewed = false;
    this.#showing = '';
    this.#is('empty');
  }

  #pressed() {
    if (this.#state !== 'broken') return this.context.openPicture(this.entry);
    this.#tryAgain();
    this.#show(this.#address());
  }

  #is(state) {
    if (state === 'shown') this.#renewed = false;
    this.#state = state;
    this.node.dataset.state = state;
    if (state !== 'broken') return this.broken?.remove();
    this.broken ??= el('span', { class: 'picture-broken' }, icon('image'), el('span', {}, say('photoBroken')));
    this.node.append(this.broken);
  }
}
