/** Files that come by drag and drop or from the clipboard, and the sign that says where to let go. */

import { el, icon } from '../dom.js';
import { filesOf } from '../picked.js';
import { say } from '../words.js';

const LINGERS = 600; // ms without a sign of the drag, which browsers give every 50 to 350: it is over or elsewhere

const carriesFiles = ({ dataTransfer }) => [...(dataTransfer?.types ?? [])].includes('Files');

export class Intake {
  #timer = null;

  /** `place` takes drops; `taker()` returns what takes files now, `add(files)`, or null. */
  constructor(place, taker) {
    Object.assign(this, { place, taker });
    this.zone = el('div', { class: 'drop-zone', hidden: true }, icon('image'), el('strong', {}, say('dropHere')));
  }

  /** Listen to the whole page: a file let go beside the place must not make the browser leave for it. */
  listen(signal) {
    addEventListener('dragover', (event) => this.#over(event), { signal });
    addEventListener('drop', (event) => this.#dropped(event), { signal });
    addEventListener('paste', (event) => this.#pasted(event), { signal });
  }

  #over(event) {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const isHere = this.#isHere(event);
    event.dataTransfer.dropEffect = isHere ? 'copy' : 'none';
    this.#sign(isHere);
  }

  #sign(shown) {
    clearTimeout(this.#timer);
    this.zone.hidden = !shown;
    if (!shown) return;
    if (!this.zone.isConnected) this.place.append(this.zone);
    this.#timer = setTimeout(() => this.#sign(false), LINGERS);
  }

  #dropped(event) {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    this.#sign(false);
    if (this.#isHere(event)) this.taker().add(filesOf(event.dataTransfer));
  }

  #isHere({ target }) {
    return Boolean(this.taker()) && this.place.contains(target) && !document.querySelector('dialog[open]');
  }

  /** A copied picture; what has a text as well (a cell of a table, a word) is meant as text. */
  #pasted(event) {
    const { target, clipboardData } = event;
    const elsewhere = target.closest?.('input, dialog') || document.querySelector('dialog[open]');
    const files = filesOf(clipboardData);
    if (elsewhere || !this.taker() || !files.length || clipboardData.types.includes('text/plain')) return;
    event.preventDefault();
    this.taker().add(files);
  }
}
