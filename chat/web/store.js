/**
 * What this page knows: the people, the conversations, what waits to be sent. Pure: events and answers go in,
 * listeners are told that something changed, and `needs` says what has to be asked of the server.
 */

import { Conversation } from './conversation.js';
import { Typists } from './typists.js';

/** People remembered by name; beyond it the longest known goes first and is asked for again when shown. */
const PEOPLE_KEPT = 10000;

/** Where messages to a person wait while there is no conversation with them yet. */
export const draftKey = (userId) => `@${userId}`;

const HANDLERS = {
  message: (store, entry) => store.absorbEntry(entry),
  'message.updated': (store, entry) => store.absorbEntry(entry),
  'offline.batch': (store, { messages }) => messages.forEach((entry) => store.absorbEntry(entry)),
  receipt: (store, receipt) => store.absorbReceipt(receipt),
  typing: (store, { conversationId, userId, typing }) => store.absorbTyping(conversationId, userId, typing),
  presence: (store, presence) => store.absorbPresence(presence),
  conversation: (store, notice) => store.absorbChange(notice),
  unread: (store, unread) => store.conversations.get(unread.conversationId)?.absorbUnread(unread),
};

/** Changes of a conversation that say all that there is to know. Other kinds are followed by reading it anew. */
const CHANGES = {
  settings: (conversation, { name, avatar, joining }) => Object.assign(conversation, { name, avatar, joining }),
  preferences: (conversation, { pinned, muted }) => Object.assign(conversation, { pinned, muted }),
  roles: (conversation, { roles }) =>
    Object.assign(conversation, { role: roles[conversation.me] ?? conversation.role }),
  cleared: (conversation, { visibleFrom }) => conversation.clear(visibleFrom),
  mute: () => {},
};

export class Store {
  #listeners = new Set();

  constructor({ now = Date.now } = {}) {
    this.typists = new Typists(now);
    this.clear(null);
  }

  /** Forget everything: another user, or another database behind the same address (what waits is still to be sent). */
  clear(me) {
    this.pending = me && me.id === this.me?.id ? this.pending : []; // own messages without an answer, oldest first
    this.me = me;
    this.people = new Map();
    this.conversations = new Map();
    this.needs = { sync: new Set(), summary: new Set(), people: new Set() };
    if (me) this.meet(me);
    this.changed();
  }

  /** Call `listener()` after every change. Returns how to stop it. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed() {
    for (const listener of this.#listeners) listener();
  }

  /** Take one event of the server. Unknown ones are ignored. */
  apply({ event, data }) {
    const handler = Object.hasOwn(HANDLERS, event) ? HANDLERS[event] : null;
    if (!handler) return;
    handler(this, data);
    this.changed();
  }

  /** Remember a person; what is not said now is kept from before. */
  meet(person) {
    const held = this.people.get(person.id);
    this.people.delete(person.id);
    this.people.set(person.id, { ...held, ...person });
    this.needs.people.delete(person.id);
    if (this.people.size > PEOPLE_KEPT) this.people.delete(this.people.keys().next().value);
  }

  /** The person with this id; unknown ones are asked for and meanwhile `null`. */
  person(userId) {
    const known = this.people.get(userId);
    if (!known && userId) this.needs.people.add(userId);
    return known ?? null;
  }

  /** Take the server's description of one conversation. */
  absorbSummary(summary) {
    const conversation = this.conversations.get(summary.id) ?? new Conversation(summary.id, this.me.id);
    this.conversations.set(summary.id, conversation);
    if (summary.peer) this.meet(summary.peer);
    conversation.absorbSummary(summary);
    this.#check(conversation);
    this.changed();
    return conversation;
  }

  absorbEntry(entry) {
    if (entry.senderId === this.me.id && entry.localId) this.settle(entry.localId);
    this.typists.set(entry.conversationId, entry.senderId, false);
    const conversation = this.conversations.get(entry.conversationId);
    if (!conversation) return void this.needs.summary.add(entry.conversationId);
    conversation.absorbEntry(entry);
    this.#check(conversation);
  }

  /** Take the answer to an own send: the entry, perhaps the first of a conversation that it has created. */
  absorbSent(entry, toUser) {
    if (toUser && !this.conversations.has(entry.conversationId)) this.#begin(entry, toUser);
    this.absorbEntry(entry);
    this.changed();
  }

  absorbReceipt({ conversationId, userId, ...position }) {
    this.conversations.get(conversationId)?.positions.advance(userId, position);
  }

  absorbTyping(conversationId, userId, typing) {
    if (userId !== this.me.id) this.typists.set(conversationId, userId, typing);
  }

  /** Each transition is numbered; one that was overtaken is old news. */
  absorbPresence({ userId, online, lastSeenAt, number = 0 }) {
    const held = this.people.get(userId);
    if (!held || (held.presenceNumber ?? 0) > number) return;
    this.meet({ id: userId, online, lastSeenAt, presenceNumber: number });
  }

  /** A conversation changed as such. What the event does not say is asked for. */
  absorbChange(notice) {
    const { conversationId, kind, change } = notice;
    const conversation = this.conversations.get(conversationId);
    if (kind === 'removed' || notice.hidden) return this.drop(conversationId);
    if (notice.conversation) return this.absorbSummary(notice.conversation);
    if (conversation && change !== undefined) conversation.absorbChange(change);
    if (conversation && Object.hasOwn(CHANGES, kind)) CHANGES[kind](conversation, notice);
    else this.needs.summary.add(conversationId);
    if (conversation) this.#check(conversation);
  }

  absorbSync(answers) {
    for (const [id, answer] of Object.entries(answers)) {
      this.needs.sync.delete(id);
      const conversation = this.conversations.get(id);
      if (answer.removed) this.drop(id);
      else if (conversation) this.#advance(conversation, answer);
    }
    this.changed();
  }

  absorbMembers(conversationId, members) {
    const conversation = this.conversations.get(conversationId);
    for (const { user, ...position } of members) {
      this.meet(user);
      if (user.id !== this.me.id) conversation?.positions.advance(user.id, position);
    }
    conversation?.positions.keep(members.map(({ user }) => user.id));
    this.changed();
  }

  /** This user is not in it any more. */
  drop(conversationId) {
    this.conversations.delete(conversationId);
    for (const asked of Object.values(this.needs)) asked.delete(conversationId);
    this.changed();
  }

  /** The private conversation with a person, if there is one. */
  privateWith(userId) {
    for (const conversation of this.conversations.values()) {
      if (conversation.kind === 'private' && conversation.peerId === userId) return conversation;
    }
    return null;
  }

  /** All conversations: pinned first, then the one with the newest entry. */
  ordered() {
    const rank = (one) => `${one.pinned ? 1 : 0}${one.activeAt}`;
    const ranked = [...this.conversations.values()].map((one) => [rank(one), one]);
    return ranked.sort(([one], [other]) => (one < other ? 1 : one > other ? -1 : 0)).map(([, one]) => one);
  }

  get unreadTotal() {
    let total = 0;
    for (const { unread, muted } of this.conversations.values()) total += muted ? 0 : unread;
    return total;
  }

  /** Messages waiting in a conversation, those addressed to its person before it existed included. */
  waiting(conversation) {
    const keys = new Set([conversation.id, conversation.peerId && draftKey(conversation.peerId)]);
    return this.pending.filter((message) => keys.has(message.key));
  }

  settle(localId) {
    this.pending = this.pending.filter((message) => message.localId !== localId);
  }

  #advance(conversation, answer) {
    conversation.absorbSync(answer);
    this.#check(conversation);
    const isNotice = ({ type }) => type === 'system'; // perhaps of members: their number is not in a sync
    if (answer.messages.some(isNotice)) this.needs.summary.add(conversation.id);
  }

  #begin(entry, toUser) {
    const conversation = new Conversation(entry.conversationId, this.me.id);
    Object.assign(conversation, { peerId: toUser, createdAt: entry.createdAt, change: (entry.change ?? 1) - 1 });
    conversation.heldSeq = entry.seq - 1;
    this.conversations.set(entry.conversationId, conversation);
    this.needs.summary.add(entry.conversationId);
  }

  #check(conversation) {
    if (conversation.behind) this.needs.sync.add(conversation.id);
    else this.needs.sync.delete(conversation.id);
  }
}
