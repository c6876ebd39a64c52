/** The left side: who am I, search, the conversations. */

import { arrange, el, iconButton } from '../dom.js';
import { say } from '../words.js';
import { avatar } from './avatar.js';
import { titleOf } from './naming.js';
import { ConversationRow, rowOf } from './row.js';
import { Search } from './search.js';

export class Sidebar {
  #rows = new Map(); // conversation id -> ConversationRow; those of the list and no others

  /** `app` is main.js's; `actions` are functions behind the buttons: newGroup, joinGroup, account. */
  constructor(app, actions) {
    this.app = app;
    this.actions = actions;
    this.search = new Search(app, () => this.render());
    this.list = el('nav', { class: 'list', 'aria-label': say('conversations') });
    this.list.addEventListener('keydown', (event) => this.#walk(event));
    this.search.input.addEventListener('keydown', (event) => this.#enterList(event));
    this.me = el('button', { type: 'button', class: 'me', 'aria-label': say('account'), onclick: actions.account });
    this.node = el(
      'aside',
      { class: 'sidebar' },
      this.#head(),
      this.search.node,
      this.list,
      el('footer', { class: 'foot' }, this.me),
    );
  }

  #head() {
    const { newGroup, joinGroup } = this.actions;
    const buttons = [
      iconButton('enter', say('joinGroup'), joinGroup),
      iconButton('group-add', say('newGroup'), newGroup),
    ];
    return el('header', { class: 'sidebar-head' }, el('h1', {}, say('chats')), buttons);
  }

  render() {
    this.#drawMe();
    const { text } = this.search;
    arrange(this.list, text ? this.#found(text.toLocaleLowerCase()) : this.#all());
  }

  #all() {
    const conversations = this.app.store.ordered();
    this.#forget(conversations);
    if (conversations.length || !this.app.ready) return conversations.map((one) => this.#row(one));
    this.empty ??= el(
      'div',
      { class: 'list-empty' },
      el('strong', {}, say('noChats')),
      el('p', {}, say('noChatsHint')),
    );
    return [this.empty];
  }

  #found(text) {
    const { store } = this.app;
    const matches = store.ordered().filter((one) => titleOf(store, one).toLocaleLowerCase().includes(text));
    const rows = matches.map((one) => this.#row(one));
    const people = this.search.people(new Set(matches.map((one) => one.peerId)));
    if (!rows.length && !people.length) return this.search.settled ? [this.search.nothing()] : [];
    return [
      rows.length ? this.search.heading('conversations') : null,
      ...rows,
      people.length ? this.search.heading('people') : null,
      ...people,
    ].filter(Boolean);
  }

  #row(conversation) {
    const row = this.#rows.get(conversation.id) ?? new ConversationRow(conversation.id);
    this.#rows.set(conversation.id, row);
    row.draw(rowOf(this.app.store, conversation), conversation.id === this.app.shownId);
    return row.node;
  }

  #forget(conversations) {
    if (this.#rows.size <= conversations.length) return;
    const there = new Set(conversations.map(({ id }) => id));
    for (const id of this.#rows.keys()) if (!there.has(id)) this.#rows.delete(id);
  }

  #drawMe() {
    const { me } = this.app.store;
    const { line } = this.app;
    const state =
      line.state === 'live' ? say(line.carrier === 'websocket' ? 'overWebSocket' : 'overLongPoll') : say('connecting');
    const signature = JSON.stringify([me, line.state, line.carrier]);
    if (signature === this.drawnMe) return;
    this.drawnMe = signature;
    const words = el(
      'span',
      { class: 'me-words' },
      el('span', { class: 'me-name' }, me.name),
      el('span', { class: `line ${line.state}` }, state),
    );
    this.me.replaceChildren(avatar(me, { size: 'small' }), words);
    this.node.dataset.line = line.state;
    this.node.dataset.carrier = line.carrier ?? '';
  }

  /** Arrow keys walk the list. */
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const rows = [...this.list.querySelectorAll('a.row')];
    const next = rows[rows.indexOf(document.activeElement) + step];
    (next ?? (step < 0 ? this.search.input : null))?.focus();
    event.preventDefault();
  }

  #enterList(event) {
    const first = this.list.querySelector('a.row');
    if (event.isComposing || !first) return;
    if (event.key === 'ArrowDown') first.focus();
    else if (event.key === 'Enter' && this.search.text) first.click();
    else return;
    event.preventDefault();
  }
}
