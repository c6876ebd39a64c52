/** One line of the list: a conversation, or a person who was found. */

import { shortTime } from '../clock.js';
import { el, icon } from '../dom.js';
import { captionOf, isPicture, mediaOf, plainName, waitingEntry } from '../media.js';
import { toConversation, toPerson } from '../route.js';
import { dayWords, language, say } from '../words.js';
import { avatar } from './avatar.js';
import { faceOf, personName, presenceOf, titleOf, typingIn } from './naming.js';
import { ticks } from './ticks.js';

const MOST_SHOWN = 99; // a larger count says no more

/** An entry in one line. */
function lineOf(entry) {
  if (entry.recalledAt) return say('recalled');
  const media = mediaOf(entry);
  if (!media) return entry.content;
  const caption = captionOf(entry);
  if (isPicture(entry)) return caption ? say('photoWith', { caption }) : say('photoAlone');
  return say('fileAlone', { name: caption || plainName(media.name) || say('file') });
}

/** What the row says under the name: `{text, who?, status?, tone?}`. */
function previewOf(store, conversation) {
  const typing = typingIn(store, conversation);
  if (typing) return { text: conversation.kind === 'group' ? typing : say('typingShort'), tone: 'accent' };
  const waiting = store.waiting(conversation).at(-1);
  if (waiting) {
    const text = lineOf(waitingEntry(waiting, store.me.id));
    return { text, status: waiting.error ? 'failed' : 'sending' };
  }
  const entry = conversation.lastEntry;
  if (!entry) return { text: '' };
  const text = lineOf(entry);
  if (entry.type === 'system') return { text, tone: 'quiet' };
  if (entry.senderId === store.me.id) return { text, status: conversation.statusOf(entry) };
  return { text, who: conversation.kind === 'group' ? personName(store, entry.senderId) : null };
}

/** All that a row shows, as plain values: equal values need no new row. */
export function rowOf(store, conversation) {
  const { id, unread, pinned, muted, activeAt, kind } = conversation;
  const face = faceOf(store, conversation);
  const preview = previewOf(store, conversation);
  preview.text = preview.text.slice(0, 120).replace(/\s+/g, ' ');
  const time = activeAt ? shortTime(activeAt, language, dayWords) : '';
  return { id, unread, pinned, muted, kind, face, time, preview, title: titleOf(store, conversation) };
}

function badge({ unread, muted }) {
  if (!unread) return null;
  const shown = unread > MOST_SHOWN ? `${MOST_SHOWN}+` : String(unread);
  const label = say('unreadCount', { count: unread });
  return el('span', { class: muted ? 'badge muted' : 'badge', role: 'img', 'aria-label': label }, shown);
}

function previewNodes({ status, who, text, tone = '' }) {
  const label = status === 'failed' ? say('notSent', { reason: '' }) : undefined;
  const words = [who && el('span', { class: 'who' }, `${who}: `), text];
  return [status && ticks(status, label), el('span', { class: `row-preview ${tone}` }, words)];
}

/** The inside of a conversation's row. */
function rowContents({ unread, pinned, muted, kind, face, time, preview, title }) {
  const marks = [muted && icon('muted'), pinned && icon('pin'), badge({ unread, muted })];
  const top = [el('span', { class: 'row-name' }, title), el('time', { class: 'row-time' }, time)];
  return [
    avatar(face, { group: kind === 'group', presence: kind === 'private' }),
    el('span', { class: 'row-top' }, top),
    el('span', { class: 'row-bottom' }, previewNodes(preview), el('span', { class: 'row-marks' }, marks)),
  ];
}

/** A conversation's row, kept from one drawing to the next so that it keeps its focus; redrawn when it differs. */
export class ConversationRow {
  #drawn = '';

  constructor(id) {
    this.node = el('a', { href: toConversation(id), 'data-id': id });
  }

  draw(row, current) {
    const signature = JSON.stringify([row, current]);
    if (signature === this.#drawn) return;
    this.#drawn = signature;
    this.node.className = row.unread ? 'row unread' : 'row';
    if (current) this.node.setAttribute('aria-current', 'page');
    else this.node.removeAttribute('aria-current');
    this.node.replaceChildren(...rowContents(row));
  }
}

/** A whole row for a person; `known` is the conversation there is already, if any. */
export function personRow(person, known) {
  const under = person.username ? `@${person.username}` : presenceOf(person);
  return el(
    'a',
    { class: 'row', href: known ? toConversation(known.id) : toPerson(person.id) },
    avatar(person, { presence: true }),
    el('span', { class: 'row-top' }, el('span', { class: 'row-name' }, person.name)),
    el('span', { class: 'row-bottom' }, el('span', { class: 'row-preview' }, under)),
  );
}
