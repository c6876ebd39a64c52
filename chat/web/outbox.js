/**
 * Own messages on their way: shown at once, sent in order, one at a time per conversation, and sent again under
 * the same `localId` until the server has answered, so that each is stored exactly once. What waits survives a
 * reload of the page (sessionStorage: another tab has its own).
 *
 * A message with a file goes once its file is uploaded (uploads.js writes its `media` here: after a reload the same
 * upload is sent, never a second one). Files keep their order among themselves; a text does not wait for them.
 */

import { newLocalId } from './localid.js';
import { backoff } from './backoff.js';
import { draftKey } from './store.js';

const MOST = 200; // messages waiting; beyond, the person is told instead of being led on
const STORED_AS = 'chat.outbox';
const HALF = /\p{Surrogate}/gu; // half an emoji, cut by an input method: no server takes it

export class Outbox {
  #busy = new Set(); // lanes with a send in flight, or told to wait
  #failures = 0; // sends in a row that got no answer

  constructor({ store, connection, attachments = null }) {
    Object.assign(this, { store, connection, attachments });
  }

  /**
   * Take a text for a conversation (or for a person, before there is one), or chosen files (see picked.js), each a
   * message, to the last of which the text is said. Returns false when too many wait.
   */
  post({ conversation, toUser, content, files = [] }) {
    const parts = files.length ? files.map((picked) => ({ picked, content: '' })) : [{}];
    if (this.store.pending.length + parts.length > MOST) return false;
    parts.at(-1).content = content.replace(HALF, '\uFFFD');
    const place = conversation
      ? { key: conversation.id, conversationId: conversation.id }
      : { key: draftKey(toUser), toUser };
    this.store.pending = [...this.store.pending, ...parts.map((part) => this.#message(part, place))];
    this.store.changed();
    this.pump();
    return true;
  }

  /** Send whatever may be sent: called when something is posted and when the line is live again. */
  pump() {
    const seen = new Set();
    for (const message of this.store.pending) {
      const lane = laneOf(message);
      if (seen.has(lane) || message.error) continue;
      seen.add(lane);
      const isReady = !message.file || message.media;
      if (isReady && this.connection.live && !this.#busy.has(lane)) this.#send(message);
    }
  }

  /** Try a refused message once more. */
  retry(localId) {
    const message = this.store.pending.find((one) => one.localId === localId);
    const isGone = message?.error?.code === 'unknown_media'; // the server keeps no upload for ever that nothing uses
    this.#mark(localId, isGone ? { error: null, media: null } : { error: null });
    this.pump();
  }

  discard(localId) {
    this.store.settle(localId);
    this.store.changed();
  }

  /** Bring back what a reload interrupted, and from now on keep what waits. */
  restore() {
    try {
      const { userId, pending } = JSON.parse(sessionStorage.getItem(STORED_AS)) ?? {};
      if (userId === this.store.me.id) this.store.pending = pending;
    } catch {
      sessionStorage.removeItem(STORED_AS); // not written by us
    }
    this.store.subscribe(() => this.#save());
  }

  #message({ picked, content }, place) {
    const localId = newLocalId();
    const message = { localId, content, createdAt: new Date().toISOString(), error: null, ...place };
    if (!picked) return message;
    this.attachments.hold(localId, picked);
    const { name, size, type: mimeType } = picked.file;
    const { width, height } = picked;
    return { ...message, file: { name, size, mimeType, width, height }, media: null };
  }

  async #send(message) {
    const lane = laneOf(message);
    this.#busy.add(lane);
    const wait = await this.#deliver(message);
    if (wait) await new Promise((resume) => setTimeout(resume, wait));
    this.#busy.delete(lane);
    this.pump();
  }

  /** One attempt. Returns how long (ms) to leave this conversation alone. */
  async #deliver(message) {
    try {
      const entry = await this.connection.request('message.send', this.#command(message));
      this.store.settle(message.localId);
      this.store.absorbSent(entry, message.toUser);
      this.#failures = 0;
      return 0;
    } catch (error) {
      return this.#refused(message, error);
    }
  }

  #command({ localId, content, conversationId, toUser, media }) {
    const what = media ? { type: media.kind === 'image' ? 'image' : 'file', mediaId: media.id } : { type: 'text' };
    const command = { ...what, ...(content || !media ? { content } : {}), localId };
    if (toUser) return { ...command, toUser };
    const readSeq = this.store.conversations.get(conversationId)?.readSeq;
    return { ...command, conversationId, readSeq };
  }

  /** A lost line or a passing refusal: again after a while. Anything else is shown to the person. */
  #refused(message, error) {
    if (error.passing) return error.retryAfter ? 1000 * error.retryAfter : backoff((this.#failures += 1));
    // A tab that was doubled uploads twice and sends under one localId: the other one was first.
    if (message.file && error.code === 'local_id_conflict') this.discard(message.localId);
    else this.#mark(message.localId, { error: { code: error.code, message: error.message, details: error.details } });
    return 0;
  }

  #mark(localId, told) {
    const marked = (message) => (message.localId === localId ? { ...message, ...told } : message);
    this.store.pending = this.store.pending.map(marked);
    this.store.changed();
  }

  #save() {
    const pending = this.store.pending;
    if (pending === this.saved) return;
    this.saved = pending;
    sessionStorage.setItem(STORED_AS, JSON.stringify({ userId: this.store.me.id, pending }));
  }
}

/** What goes one after the other. */
const laneOf = ({ key, file }) => (file ? `${key} files` : key);
