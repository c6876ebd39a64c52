/** How conversations and people are called on this page. */

import { language, dayWords, say } from '../words.js';
import { shortTime } from '../clock.js';

/** The name of a person for this reader. */
export function personName(store, userId) {
  return store.person(userId)?.name || say('someone');
}

/** What stands above a conversation. */
export function titleOf(store, conversation) {
  if (conversation.kind === 'group') return conversation.name || say('newGroup');
  if (conversation.peerId === store.me.id) return say('yourNotes');
  return store.person(conversation.peerId)?.name || conversation.name || say('someone');
}

/** Whose face stands for a conversation, as avatar() takes it. */
export function faceOf(store, conversation) {
  const name = titleOf(store, conversation);
  if (conversation.kind === 'group') return { id: conversation.id, name, avatar: conversation.avatar };
  return { ...store.person(conversation.peerId), id: conversation.peerId ?? conversation.id, name };
}

/** Who types in it, in a sentence; empty when nobody does. */
export function typingIn(store, conversation) {
  const typists = store.typists.in(conversation.id);
  if (typists.length === 0) return '';
  return typists.length === 1 ? say('isTyping', { name: personName(store, typists[0]) }) : say('areTyping');
}

/** Whether a person is there, in words. */
export function presenceOf(person) {
  if (person?.online) return say('isOnline');
  if (!person?.lastSeenAt) return say('isOffline');
  return say('lastSeen', { time: shortTime(person.lastSeenAt, language, dayWords) });
}
