/** Choosing people: a search field, what it finds, and who was chosen so far. */

import { el, iconButton } from '../dom.js';
import { say } from '../words.js';
import { avatar } from './avatar.js';

const QUIET = 200; // ms without a keystroke before the server is asked
const SUGGESTED = 30; // people of one's own conversations, shown before anything is typed

export class Picker {
  #chosen = new Map(); // id -> person; as many as a person clicks
  #timer = null;

  /** `without`: ids that are not offered. `onChange(count)` is called when the choice changed. */
  constructor(app, { without = new Set(), onChange = () => {} } = {}) {
    Object.assign(this, { app, without: new Set([...without, app.store.me.id]), onChange });
    this.input = el('input', {
      type: 'search',
      placeholder: say('searchPeople'),
      'aria-label': say('searchPeople'),
      autocomplete: 'off',
      oninput: () => this.#typed(),
    });
    this.chips = el('ul', { class: 'chips', 'aria-label': say('choosePeople') });
    this.results = el('ul', { class: 'people' });
    this.node = el(
      'div',
      { class: 'picker' },
      this.chips,
      el('span', { class: 'field-input' }, this.input),
      this.results,
    );
    this.#suggest();
  }

  get ids() {
    return [...this.#chosen.keys()];
  }

  #suggest() {
    const { store } = this.app;
    const peers = store.ordered().map(({ peerId }) => peerId && store.person(peerId));
    this.#show(peers.filter(Boolean).slice(0, SUGGESTED));
  }

  #typed() {
    clearTimeout(this.#timer);
    const text = this.input.value.trim();
    if (!text) return this.#suggest();
    this.#timer = setTimeout(() => this.#ask(text), QUIET);
  }

  async #ask(text) {
    const { users } = await this.app.api.findPeople(text).catch(() => ({ users: [] }));
    if (text !== this.input.value.trim()) return;
    if (users.length) this.#show(users);
    else this.results.replaceChildren(el('li', { class: 'list-empty' }, say('nothingFound', { text })));
  }

  #show(people) {
    this.shown = people.filter(({ id }) => !this.without.has(id));
    this.results.replaceChildren(...this.shown.map((person) => this.#result(person)));
  }

  #result(person) {
    const box = el('input', {
      type: 'checkbox',
      checked: this.#chosen.has(person.id),
      onchange: () => this.#toggle(person),
    });
    const words = el(
      'span',
      { class: 'person-words' },
      el('span', { class: 'person-name' }, person.name),
      person.username ? el('span', { class: 'person-under' }, `@${person.username}`) : null,
    );
    return el(
      'li',
      {},
      el('label', { class: 'person' }, avatar(person, { size: 'small', presence: true }), words, box),
    );
  }

  #toggle(person) {
    if (!this.#chosen.delete(person.id)) this.#chosen.set(person.id, person);
    const chip = (one) =>
      el(
        'li',
        { class: 'chip' },
        one.name,
        iconButton('close', say('removeName', { name: one.name }), () => this.#remove(one)),
      );
    this.chips.replaceChildren(...[...this.#chosen.values()].map(chip));
    this.onChange(this.#chosen.size);
  }

  #remove(person) {
    this.#toggle(person);
    this.#show(this.shown);
  }
}
