/** A group's sheet: who is in it, adding and removing people, its name, the way out. */

import { el, icon, iconButton } from '../dom.js';
import { TO_LIST, toJoin, toPerson } from '../route.js';
import { say } from '../words.js';
import { avatar } from './avatar.js';
import { confirmed, openDialog } from './dialog.js';
import { presenceOf } from './naming.js';
import { Picker } from './picker.js';
import { toast } from './toast.js';

const LISTED = 500; // members in the sheet; beyond, nobody scrolls
const WATCHED = 200; // the server's bound for presence.watch

export class MembersSheet {
  constructor(app, conversation) {
    Object.assign(this, { app, conversation, members: [] });
    this.list = el('ul', { class: 'people', 'aria-label': say('members') });
    this.body = el('div', { class: 'dialog-body' }, this.#actions(), this.list, this.#wayOut());
    const stop = app.store.subscribe(() => this.#draw());
    this.dialog = openDialog(conversation.name, this.body, { onClose: () => this.#close(stop) });
    this.#load();
  }

  get #leads() {
    return ['owner', 'admin'].includes(this.conversation.role);
  }

  #actions() {
    const button = (picture, key, act) =>
      el('button', { type: 'button', class: 'button', onclick: act }, icon(picture), say(key));
    return el(
      'div',
      { class: 'sheet-actions' },
      this.#leads && button('group-add', 'addPeople', () => this.#openAdd()),
      this.conversation.joining === 'open' && button('link', 'copyLink', () => this.#copy()),
      this.#leads && button('pen', 'rename', () => this.#openRename()),
    );
  }

  #wayOut() {
    const leave = el(
      'button',
      { type: 'button', class: 'button danger wide', onclick: () => this.#leave() },
      icon('leave'),
      say('leaveGroup'),
    );
    return el('div', { class: 'dialog-actions' }, leave);
  }

  async #load() {
    const { app, conversation } = this;
    await app.attempt(async () => {
      this.members = await app.roster.read(conversation.id, LISTED);
      this.#draw();
      await this.#watch();
    });
  }

  /** Presence of people whom one does not talk to in private is told on request, while the sheet is open. */
  async #watch() {
    const userIds = this.members.slice(0, WATCHED).map(({ user }) => user.id);
    const answer = await this.app.connection.request('presence.watch', { userIds }).catch(() => null);
    for (const presence of answer?.presence ?? []) this.app.store.absorbPresence(presence);
    this.app.store.changed();
  }

  #close(stopDrawing) {
    stopDrawing();
    this.app.connection.request('presence.watch', { userIds: [] }).catch(() => {}); // a lost line watches nobody
  }

  #draw() {
    const signature = JSON.stringify(this.members.map(({ user, role }) => [this.app.store.person(user.id), role]));
    if (signature === this.drawn) return;
    this.drawn = signature;
    this.list.replaceChildren(...this.members.map((member) => this.#person(member)));
  }

  #person({ user, role }) {
    const { store } = this.app;
    const person = { ...user, ...store.person(user.id) };
    const mine = person.id === store.me.id;
    const name = mine ? `${person.name} (${say('you')})` : person.name;
    const under = presenceOf(mine ? { online: true } : person);
    const words = [el('span', { class: 'person-name' }, name), el('span', { class: 'person-under' }, under)];
    const face = avatar({ ...person, online: mine || person.online }, { size: 'small', presence: true });
    const talk = el(
      'a',
      { class: 'person', href: toPerson(person.id) },
      face,
      el('span', { class: 'person-words' }, words),
    );
    talk.onclick = () => this.dialog.close();
    return el(
      'li',
      { class: 'person-line' },
      talk,
      this.#roleOf(person, role, mine),
      this.#removal(person, role, mine),
    );
  }

  /** The owner gives roles; others see them. */
  #roleOf(person, role, mine) {
    if (this.conversation.role !== 'owner' || mine) return role !== 'member' && el('span', { class: 'tag' }, say(role));
    const option = (one) => el('option', { value: one, selected: one === role }, say(one));
    const label = say('roleOf', { name: person.name });
    const choice = el('select', { class: 'role', 'aria-label': label }, ['member', 'admin', 'owner'].map(option));
    choice.onchange = () => this.#setRole(person, choice.value);
    return choice;
  }

  #removal(person, role, mine) {
    const below = role === 'member' || (role === 'admin' && this.conversation.role === 'owner');
    if (!this.#leads || mine || !below) return null;
    return iconButton('close', say('removeName', { name: person.name }), () => this.#remove(person));
  }

  async #setRole(person, role) {
    const { app, conversation } = this;
    const owner = role === 'owner';
    const sure = !owner || (await confirmed(say('handOver', { name: person.name }), say('yes')));
    const handOver = () => app.api.handOver(conversation.id, person.id);
    const setRole = () => app.api.setRole(conversation.id, person.id, role);
    if (sure) await app.attempt(owner ? handOver : setRole);
    this.drawn = '';
    await this.#load();
  }

  async #remove(person) {
    if (!(await confirmed(say('removeName', { name: person.name }), say('remove')))) return;
    await this.app.attempt(() => this.app.api.removeMember(this.conversation.id, person.id));
    await this.#load();
  }

  #openAdd() {
    const button = el('button', { type: 'submit', class: 'button primary', disabled: true }, say('addPeople'));
    const onChange = (count) => {
      button.disabled = count === 0;
      button.textContent = count ? say('addTheseMany', { count }) : say('addPeople');
    };
    const picker = new Picker(this.app, { without: new Set(this.members.map(({ user }) => user.id)), onChange });
    const form = el('form', { class: 'dialog-body' }, picker.node, el('div', { class: 'dialog-actions' }, button));
    this.#openForm(say('addPeople'), form, () => this.app.api.addMembers(this.conversation.id, picker.ids));
  }

  #openRename() {
    const input = el('input', {
      type: 'text',
      value: this.conversation.name,
      maxLength: 100,
      required: true,
      'aria-label': say('groupName'),
    });
    const form = el(
      'form',
      { class: 'dialog-body' },
      el('span', { class: 'field-input' }, input),
      el('div', { class: 'dialog-actions' }, el('button', { type: 'submit', class: 'button primary' }, say('save'))),
    );
    this.#openForm(say('rename'), form, () => this.app.api.renameGroup(this.conversation.id, input.value.trim()));
  }

  #openForm(title, form, work) {
    const dialog = openDialog(title, form);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      if (!(await this.app.attempt(work))) return;
      dialog.close();
      this.dialog.node.querySelector('h2').textContent = this.conversation.name;
      await this.#load();
    });
  }

  async #copy() {
    const link = `${location.origin}/${toJoin(this.conversation.id)}`;
    if (!navigator.clipboard) return toast(link); // on a plain-http address: to be copied by hand
    await this.app.attempt(() => navigator.clipboard.writeText(link).then(() => toast(say('copied'))));
  }

  async #leave() {
    if (!(await confirmed(say('leaveConfirm', { name: this.conversation.name }), say('leaveGroup')))) return;
    const left = await this.app.attempt(() => this.app.api.leaveGroup(this.conversation.id));
    if (!left) return;
    this.dialog.close();
    this.app.store.drop(this.conversation.id);
    this.app.go(TO_LIST);
  }
}
