/**
 * Files on their way up: a few at a time, begun again after a break of the line, ended when their message is thrown
 * away. What the server made of a file is written to its message, which the outbox then sends.
 */

import { backoff } from './backoff.js';
import { ApiError } from './http.js';
import { Pause } from './pause.js';

const AT_ONCE = 2; // the server takes four of a user, who may have a second page open
const TRIES = 5; // in a row without an answer while the line is live: something in between does not let it through

const lost = () => new ApiError({ code: 'file_lost' }, 400);

export class Uploads {
  #jobs = new Map(); // localId -> {abort, share}; at most AT_ONCE
  #seen = null; // the list of waiting messages as it was looked through last
  #over = false;

  /** `onUploaded()` is called when a message may be sent. */
  constructor({ api, store, connection, attachments, onUploaded, pause = new Pause() }) {
    Object.assign(this, { api, store, connection, attachments, onUploaded, pause });
  }

  /** From now on follow what waits. */
  start() {
    this.store.subscribe(() => this.#look());
    this.pump();
  }

  /** Begin whatever may begin: called when the line is live again, too. */
  pump() {
    for (const message of this.store.pending) {
      if (this.#over || this.#jobs.size >= AT_ONCE || !this.connection.live) return;
      if (message.file && !message.media && !message.error && !this.#jobs.has(message.localId)) this.#run(message);
    }
  }

  /** How much of a message's file is gone, 0 to 1; null while it is not on its way. */
  share(localId) {
    return this.#jobs.get(localId)?.share ?? null;
  }

  stop() {
    this.#over = true;
    for (const { abort } of this.#jobs.values()) abort.abort();
  }

  #look() {
    const { pending } = this.store;
    if (pending === this.#seen) return;
    this.#seen = pending;
    const waiting = new Set(pending.map(({ localId }) => localId));
    for (const [localId, { abort }] of this.#jobs) if (!waiting.has(localId)) abort.abort();
    this.pump();
  }

  async #run({ localId }) {
    const job = { abort: new AbortController(), share: 0 };
    this.#jobs.set(localId, job);
    const told = await this.#carry(localId, job).catch(({ code, message, details }) => ({
      error: { code, message, details },
    }));
    this.#jobs.delete(localId);
    if (job.abort.signal.aborted) return this.pump();
    if (told) this.#mark(localId, told);
    if (told?.media) this.onUploaded();
    this.pump();
  }

  /** Upload one file. Returns what to write to its message, or null when the line has gone: it begins again later. */
  async #carry(localId, job) {
    for (let failures = 0; this.connection.live && !job.abort.signal.aborted;) {
      const file = await this.attachments.file(localId);
      if (!file || !(await isReadable(file))) throw lost();
      try {
        return { media: await this.#upload(file, job) };
      } catch (error) {
        if (!error.passing) throw error;
        if (!error.retryAfter) failures += 1;
        if (failures >= TRIES) throw error;
        this.#moved(job, 0);
        await this.pause.take(error.retryAfter ? 1000 * error.retryAfter : backoff(failures));
      }
    }
    return null;
  }

  #upload(file, job) {
    return this.api.upload(file, { signal: job.abort.signal, onProgress: (share) => this.#moved(job, share) });
  }

  #moved(job, share) {
    job.share = share;
    this.store.changed();
  }

  #mark(localId, told) {
    const marked = (message) => (message.localId === localId ? { ...message, ...told } : message);
    this.store.pending = this.store.pending.map(marked);
    this.store.changed();
  }
}

/** A file that was deleted or a folder has a name and no bytes. */
async function isReadable(file) {
  return file.slice(0, 1).arrayBuffer().then(
    () => true,
    () => false,
  );
}
