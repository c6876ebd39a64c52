/** What will be sent with the next message: pictures and files above the field, each to be taken out again. */

import { el, icon, iconButton } from '../dom.js';
import { plainName, sizeWords } from '../media.js';
import { look } from '../picked.js';
import { language, say } from '../words.js';
import { toast } from './toast.js';

const MOST = 10; // at once; more are a folder, not a message
const trays = new Map(); // conversation id -> what was chosen and not sent; of this page's life, MOST each

export class Tray {
  #nodes = new Map(); // what was chosen -> its list item

  /** `limit()` is the most bytes of a file; `onChange()` is called when something came or went. */
  constructor({ id, limit, onChange }) {
    Object.assign(this, { id, limit, onChange });
    this.node = el('ul', { class: 'tray', 'aria-label': say('toBeSent'), hidden: true });
    this.#draw();
  }

  get picked() {
    return trays.get(this.id) ?? [];
  }

  /** Take files in, as far as they may be sent; of the others the person is told why not. */
  async add(files) {
    const looked = await Promise.all(files.filter((file) => this.#mayBeSent(file)).map(look));
    const room = MOST - this.picked.length;
    if (looked.length > room) toast(say('tooManyFiles', { most: MOST }));
    for (const { preview } of looked.slice(room)) if (preview) URL.revokeObjectURL(preview);
    this.#keep([...this.picked, ...looked.slice(0, room)]);
  }

  /** What was in it is somebody else's now, its previews included. */
  empty() {
    this.#keep([]);
  }

  #mayBeSent(file) {
    const name = plainName(file.name);
    const most = this.limit();
    const sizes = { size: sizeWords(file.size, language, { up: true }), most: sizeWords(most, language) };
    if (file.size > most) toast(say('fileTooLarge', { name, ...sizes }));
    if (!file.size) toast(say('fileEmpty', { name }));
    return file.size > 0 && file.size <= most;
  }

  #keep(picked) {
    if (picked.length) trays.set(this.id, picked);
    else trays.delete(this.id);
    this.#draw();
    this.onChange();
  }

  #remove(one) {
    const at = this.picked.indexOf(one);
    if (one.preview) URL.revokeObjectURL(one.preview);
    this.#keep(this.picked.filter((other) => other !== one));
    const next = this.picked[Math.min(at, this.picked.length - 1)];
    this.#nodes.get(next)?.querySelector('button').focus();
  }

  #draw() {
    const { picked } = this;
    for (const one of [...this.#nodes.keys()]) if (!picked.includes(one)) this.#nodes.delete(one);
    for (const one of picked) if (!this.#nodes.has(one)) this.#nodes.set(one, this.#item(one));
    this.node.hidden = !picked.length;
    this.node.replaceChildren(...picked.map((one) => this.#nodes.get(one)));
  }

  #item(one) {
    const name = plainName(one.file.name) || say('file');
    const face = one.preview
      ? el('img', { src: one.preview, alt: name, draggable: false })
      : el('span', { class: 'tray-file' }, icon('file'), el('bdi', {}, name));
    const remove = iconButton('close', say('removeName', { name }), () => this.#remove(one));
    return el('li', { class: 'tray-item', title: `${name}, ${sizeWords(one.file.size, language)}` }, face, remove);
  }
}
