/**
 * The login of this browser, shared by its tabs. The access token lives in memory (other tabs are told of a new
 * one), the refresh token in localStorage. A refresh token works once, and using an old one ends the login: so
 * only one tab at a time refreshes, and always with the token that is stored at that moment. Each refresh token has a
 * key beside it: a refresh whose answer was lost is repeated with that key and answered again.
 */

import { ApiError, exchange } from './http.js';
import { newLocalId } from './localid.js';
import { alone } from './lock.js';

const STORED_AS = 'chat.login';
const REFRESH_BEFORE = 30000; // ms; no token expires on its way to the server

/** There is no login any more: show the door. */
export class LoggedOut extends Error {}

export class Account {
  #access = null; // {token, until}
  #refreshing = null;
  #channel = new BroadcastChannel('chat.account');

  /** `onEnd()` is called once when the login ends, here or in another tab. */
  constructor(onEnd) {
    this.onEnd = onEnd;
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.userId = this.user?.id ?? null;
    addEventListener('storage', ({ key }) => key === STORED_AS && this.#elsewhere());
  }

  get stored() {
    try {
      return JSON.parse(localStorage.getItem(STORED_AS));
    } catch {
      return null; // not written by us: no login
    }
  }

  get user() {
    return this.stored?.user ?? null;
  }

  async register(username, password, displayName) {
    return this.#keep(await exchange('POST', '/auth/register', { body: { username, password, displayName } }));
  }

  async logIn(username, password) {
    return this.#keep(await exchange('POST', '/auth/login', { body: { username, password } }));
  }

  /** Remember what the server says of this user from now on. */
  keepUser(user) {
    const stored = this.stored;
    if (stored) localStorage.setItem(STORED_AS, JSON.stringify({ ...stored, user }));
  }

  /** A token that works; `fresh` when the one given out before was refused. Throws LoggedOut or ApiError. */
  async token({ fresh = false } = {}) {
    if (fresh) this.#access = null;
    if (this.#access && this.#access.until - REFRESH_BEFORE > Date.now()) return this.#access.token;
    this.#refreshing ??= alone('chat.refresh', () => this.#refresh()).finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** End the login on the server and in every tab of this browser. */
  async logOut() {
    try {
      await exchange('POST', '/auth/logout', { body: {}, token: await this.token() });
    } catch {
      // The door closes here in any case; the login on the server lapses by itself.
    }
    this.end();
  }

  /** Forget the login: the server does not know it any more. */
  end() {
    localStorage.removeItem(STORED_AS);
    this.#ended();
  }

  async #refresh() {
    const stored = this.stored;
    if (!stored) throw new LoggedOut();
    try {
      const once = stored.refreshKey;
      const body = { refreshToken: stored.refreshToken };
      const answer = await exchange('POST', '/auth/refresh', { body, once });
      this.#keep({ user: stored.user, ...answer });
      return this.#access.token;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) throw this.#lost();
      throw error;
    }
  }

  #lost() {
    this.end();
    return new LoggedOut();
  }

  #keep({ user, accessToken, refreshToken, expiresIn }) {
    localStorage.setItem(STORED_AS, JSON.stringify({ user, refreshToken, refreshKey: newLocalId() }));
    this.userId = user.id;
    this.#access = { token: accessToken, until: Date.now() + expiresIn * 1000 };
    this.#channel.postMessage({ access: this.#access, userId: user.id });
    return user;
  }

  #hear({ access, userId }) {
    if (this.userId === userId) this.#access = access;
  }

  /** Another tab has logged in or out. The login is the browser's: this tab must not go on as somebody else. */
  #elsewhere() {
    const userId = this.user?.id ?? null;
    if (userId === this.userId) return;
    if (userId === null) this.#ended();
    else location.reload();
  }

  #ended() {
    this.#access = null;
    this.userId = null;
    this.onEnd();
  }
}
