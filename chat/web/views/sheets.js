/** The small sheets: a new group, joining one, one's own account. */

import { el, icon } from '../dom.js';
import { newLocalId } from '../localid.js';
import { parseRoute, toConversation } from '../route.js';
import { say } from '../words.js';
import { avatar } from './avatar.js';
import { openDialog } from './dialog.js';
import { Picker } from './picker.js';

const GROUP_NAME_MOST = 100; // characters; the server's bound

const submit = (key, more = {}) => el('button', { type: 'submit', class: 'button primary', ...more }, say(key));

function field(key, properties) {
  return el(
    'label',
    { class: 'field' },
    el('span', {}, say(key)),
    el('span', { class: 'field-input' }, el('input', { type: 'text', autocomplete: 'off', ...properties })),
  );
}

/** A sheet with a form; `work()` runs at submit, and the sheet closes when it succeeds. */
function openForm(title, children, work, app) {
  const form = el('form', { class: 'dialog-body' }, children);
  const dialog = openDialog(title, form);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (await app.attempt(work)) dialog.close();
  });
  return dialog;
}

export function openNewGroup(app) {
  const name = field('groupName', { required: true, maxLength: GROUP_NAME_MOST });
  const everyone = el('input', { type: 'checkbox' });
  const isPublic = el('label', { class: 'choice' }, everyone, el('span', {}, say('publicGroup')));
  const picker = new Picker(app);
  const once = newLocalId(); // a second click, or a lost answer, makes no second group
  const create = async () => {
    const settings = { name: name.querySelector('input').value.trim(), memberIds: picker.ids };
    const open = everyone.checked ? { joining: 'open', listed: true } : {};
    const group = await app.api.createGroup({ ...settings, ...open }, once);
    await app.show(group.id);
  };
  const actions = el('div', { class: 'dialog-actions' }, submit('create'));
  openForm(say('newGroup'), [name, picker.node, isPublic, actions], create, app);
  name.querySelector('input').focus();
}

/** `groupId` is given when somebody followed an invitation link. */
export function openJoinGroup(app, groupId = '') {
  const link = field('linkOrId', { value: groupId });
  const input = link.querySelector('input');
  const join = async () => {
    const given = input.value.trim();
    const { place, id } = parseRoute(given.slice(given.indexOf('#')));
    const wanted = place === 'join' ? id : given;
    await app.api.joinGroup(wanted);
    await app.show(wanted);
  };
  const found = el('ul', { class: 'people', 'aria-label': say('publicGroups') });
  const actions = el('div', { class: 'dialog-actions' }, submit('join'));
  const form = openForm(say('joinGroup'), [link, found, actions], join, app);
  input.focus();
  listPublicGroups(app, found, (id) => {
    input.value = id;
    form.node.querySelector('form').requestSubmit();
  });
}

/** What everybody may join, to be chosen by a click. */
async function listPublicGroups(app, list, choose) {
  const { groups } = await app.api.publicGroups().catch(() => ({ groups: [] }));
  const others = groups.filter(({ id, joining }) => joining === 'open' && !app.store.conversations.has(id));
  list.replaceChildren(...others.map((group) => publicGroup(group, choose)));
}

function publicGroup(group, choose) {
  const words = el(
    'span',
    { class: 'person-words' },
    el('span', { class: 'person-name' }, group.name),
    el('span', { class: 'person-under' }, say('memberCount', { count: group.memberCount })),
  );
  const face = avatar(group, { size: 'small', group: true });
  const button = el('button', { type: 'button', class: 'button' }, say('join'));
  button.onclick = () => choose(group.id);
  return el('li', { class: 'person' }, face, words, button);
}

export function openAccount(app) {
  const { me } = app.store;
  const line = say(
    app.line.carrier === 'longpoll' ? 'overLongPoll' : app.line.state === 'live' ? 'overWebSocket' : 'connecting',
  );
  const facts = el(
    'dl',
    { class: 'facts' },
    el('dt', {}, say('username')),
    el('dd', {}, `@${me.username ?? me.id}`),
    el('dt', {}, say('userId')),
    el('dd', {}, me.id),
    el('dt', {}, say('line')),
    el('dd', {}, line),
  );
  const leave = el('button', { type: 'button', class: 'button wide' }, icon('leave'), say('logOut'));
  const body = el(
    'div',
    { class: 'dialog-body account' },
    avatar(me, { size: 'large' }),
    el('h3', {}, me.name),
    facts,
    leave,
  );
  const dialog = openDialog(say('account'), body);
  leave.onclick = () => {
    dialog.close();
    app.account.logOut();
  };
}

/** Show a conversation by its id, as after creating or joining it. */
export async function showConversation(app, id) {
  app.store.absorbSummary(await app.api.conversation(id));
  app.go(toConversation(id));
}
