/** The server's REST verbs as this page uses them: one function each, answers passed on as they come. */

import { exchange } from './http.js';
import { postFile } from './postfile.js';

const enc = encodeURIComponent;

function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return given.length ? `?${new URLSearchParams(given)}` : '';
}

export class Api {
  constructor(account) {
    this.account = account;
  }

  /** One authenticated exchange. */
  call(method, path, options = {}) {
    return this.#authenticated((token) => exchange(method, path, { ...options, token }));
  }

  /** Upload a file; `onProgress(share)` is told how much of it is gone. Returns what the server made of it. */
  upload(file, { signal, onProgress }) {
    return this.#authenticated((token) => postFile('/uploads', file, { token, signal, onProgress }));
  }

  /** Run `work(token)`; a token that was refused is renewed once. */
  async #authenticated(work) {
    const token = await this.account.token();
    try {
      return await work(token);
    } catch (error) {
      if (error.status !== 401) throw error;
      return work(await this.account.token({ fresh: true }));
    }
  }

  me() {
    return this.call('GET', '/users/me');
  }

  findPeople(text, limit = 20) {
    return this.call('GET', `/users${query({ query: text, limit })}`);
  }

  person(userId) {
    return this.call('GET', `/users/${enc(userId)}`);
  }

  conversations(cursor, limit = 100) {
    return this.call('GET', `/conversations${query({ cursor, limit })}`);
  }

  conversation(id) {
    return this.call('GET', `/conversations/${enc(id)}`);
  }

  /** A page of entries, ascending; `before` and `after` are entry numbers. */
  messages(id, { before, after, limit = 50 } = {}) {
    return this.call('GET', `/conversations/${enc(id)}/messages${query({ before, after, limit })}`);
  }

  members(id, cursor, limit = 100) {
    return this.call('GET', `/conversations/${enc(id)}/members${query({ cursor, limit })}`);
  }

  unread() {
    return this.call('GET', '/unread');
  }

  /** `settings`: `{name, memberIds, joining?, listed?}`; the same `once` makes no second group. */
  createGroup(settings, once) {
    return this.call('POST', '/groups', { body: settings, once });
  }

  /** Groups that everybody may find. */
  publicGroups() {
    return this.call('GET', '/groups');
  }

  renameGroup(id, name) {
    return this.call('PATCH', `/groups/${enc(id)}`, { body: { name } });
  }

  addMembers(id, userIds) {
    return this.call('POST', `/groups/${enc(id)}/members`, { body: { userIds } });
  }

  removeMember(id, userId) {
    return this.call('DELETE', `/groups/${enc(id)}/members/${enc(userId)}`);
  }

  /** `role`: admin or member; an owner is made by handing the group over. */
  setRole(id, userId, role) {
    return this.call('PUT', `/groups/${enc(id)}/members/${enc(userId)}/role`, { body: { role } });
  }

  handOver(id, userId) {
    return this.call('POST', `/groups/${enc(id)}/transfer`, { body: { userId } });
  }

  joinGroup(id) {
    return this.call('POST', `/groups/${enc(id)}/join`, { body: {} });
  }

  leaveGroup(id) {
    return this.call('POST', `/groups/${enc(id)}/leave`, { body: {} });
  }
}
