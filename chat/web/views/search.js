/** The search field above the list, and the people whom the server finds for it. */

import { el, icon, iconButton } from '../dom.js';
import { reasonOf, say } from '../words.js';
import { personRow } from './row.js';

const QUIET = 200; // ms without a keystroke before the server is asked

export class Search {
  #found = [];
  #problem = null;
  #timer = null;

  /** `onChange()` is called when the text or the people found changed. */
  constructor(app, onChange) {
    Object.assign(this, { app, onChange, settled: true });
    this.input = el('input', {
      type: 'search',
      class: 'search-input',
      placeholder: say('search'),
      'aria-label': say('search'),
      autocomplete: 'off',
      spellcheck: false,
    });
    this.clearButton = iconButton('close', say('clearSearch'), () => this.clear(), { hidden: true });
    this.node = el('div', { class: 'search', role: 'search' }, icon('search'), this.input, this.clearButton);
    this.input.addEventListener('input', () => this.#typed());
    this.input.addEventListener('keydown', (event) => event.key === 'Escape' && this.clear());
  }

  get text() {
    return this.input.value.trim();
  }

  clear() {
    this.input.value = '';
    this.#typed();
  }

  /** Rows of the people found, but for those who are listed already. */
  people(listed) {
    const { store } = this.app;
    const others = this.#found.filter(({ id }) => !listed.has(id));
    return others.map((person) => personRow({ ...person, ...store.person(person.id) }, store.privateWith(person.id)));
  }

  heading(key) {
    return el('h2', { class: 'list-heading' }, say(key));
  }

  /** Said instead of rows: that there are none, or why they could not be asked for. */
  nothing() {
    const why = this.#problem && say('wentWrong', { reason: reasonOf(this.#problem) });
    return el('p', { class: 'list-empty', role: 'status' }, why || say('nothingFound', { text: this.text }));
  }

  #typed() {
    clearTimeout(this.#timer);
    this.clearButton.hidden = !this.input.value;
    this.settled = !this.text;
    if (this.text) this.#timer = setTimeout(() => this.#ask(this.text), QUIET);
    else this.#found = [];
    this.onChange();
  }

  async #ask(text) {
    const answer = await this.app.api.findPeople(text).catch((problem) => ({ users: [], problem }));
    if (text !== this.text) return;
    for (const user of answer.users) this.app.store.meet(user);
    this.#found = answer.users;
    this.#problem = answer.problem;
    this.settled = true;
    this.onChange();
  }
}
