/** The page once somebody is in: its parts are made here, wired together, and drawn when something changes. */

import { Api } from './api.js';
import { Attachments } from './attachments.js';
import { CatchUp } from './catchup.js';
import { Connection } from './connection.js';
import { el } from './dom.js';
import { sizeWords } from './media.js';
import { Outbox } from './outbox.js';
import { People } from './people.js';
import { Reading } from './reading.js';
import { Roster } from './roster.js';
import { TO_LIST, parseRoute } from './route.js';
import { Store } from './store.js';
import { drawTitle } from './title.js';
import { Typing } from './typing.js';
import { Uploads } from './uploads.js';
import { Banner } from './views/banner.js';
import { MembersSheet } from './views/members.js';
import { Room } from './views/room.js';
import { openAccount, openJoinGroup, openNewGroup, showConversation } from './views/sheets.js';
import { Sidebar } from './views/sidebar.js';
import { toast } from './views/toast.js';
import { language, reasonOf, say } from './words.js';

const TICK = 2000; // ms: typing lapses, "yesterday" begins

export class App {
  #drawing = false;
  #stops = new AbortController();

  constructor(account) {
    this.account = account;
    this.store = new Store();
    this.api = new Api(account);
    this.line = { state: 'idle', carrier: null };
    this.lives = 0; // how often the line has come to life
    this.ready = false;
    this.limits = null;
    this.#makeParts();
    this.#makeViews();
  }

  #makeParts() {
    const { account, api, store } = this;
    const onEvent = (frame) => this.#hear(frame);
    this.connection = new Connection({ account, api, onEvent, onState: (line) => this.#lineIs(line) });
    const { connection } = this;
    this.catchUp = new CatchUp({ api, connection, store, onReady: () => this.#isReady() });
    this.attachments = new Attachments({ store });
    const { attachments } = this;
    this.outbox = new Outbox({ store, connection, attachments });
    const onUploaded = () => this.outbox.pump();
    this.uploads = new Uploads({ api, store, connection, attachments, onUploaded });
    this.reading = new Reading({ store, connection });
    this.typing = new Typing({ connection });
    this.people = new People({ api, store });
    this.roster = new Roster({ api, store });
  }

  #makeViews() {
    const actions = {
      newGroup: () => openNewGroup(this),
      joinGroup: () => openJoinGroup(this),
      account: () => openAccount(this),
      members: (conversation) => new MembersSheet(this, conversation),
    };
    this.banner = new Banner({ onRetry: () => this.connection.hurry() });
    this.sidebar = new Sidebar(this, actions);
    this.room = new Room(this, actions);
    this.node = el('div', { class: 'app' }, this.banner.node, this.sidebar.node, this.room.node);
  }

  /** Begin as this user. */
  start(user) {
    this.store.clear(user);
    this.outbox.restore();
    this.attachments.restore();
    this.uploads.start();
    this.store.subscribe(() => this.#drawSoon());
    const { signal } = this.#stops;
    this.room.intake.listen(signal);
    addEventListener('hashchange', () => this.#routed(), { signal });
    addEventListener('focus', () => this.#drawSoon(), { signal });
    document.addEventListener('visibilitychange', () => this.#drawSoon(), { signal });
    this.ticking = setInterval(() => this.#tick(), TICK);
    this.#routed();
    this.connection.start();
  }

  /** The login has ended. */
  stop() {
    this.#stops.abort();
    clearInterval(this.ticking);
    this.uploads.stop();
    this.connection.stop();
    this.attachments.clear();
    for (const dialog of document.querySelectorAll('dialog')) dialog.close();
    drawTitle(0);
  }

  /** Whether the person is looking at this page right now. */
  get attentive() {
    return document.visibilityState === 'visible' && document.hasFocus();
  }

  get shownId() {
    return this.room.shownId;
  }

  go(hash) {
    location.hash = hash;
  }

  /** The same place under its right address: "back" does not lead to the wrong one. */
  goInstead(hash) {
    if (location.hash !== this.address) return; // they have just left: the event that says so is on its way
    history.replaceState(null, '', hash);
    this.#arrive();
  }

  show(conversationId) {
    return showConversation(this, conversationId);
  }

  /** Whether a conversation that is not known yet is being asked for; asks, the first time. */
  looksFor(id) {
    if (!this.ready) return true;
    if (this.lookedFor !== id) {
      this.lookedFor = id;
      this.store.needs.summary.add(id);
      this.catchUp.ask();
    }
    return this.store.needs.summary.has(id) || this.catchUp.describing === id;
  }

  /** Do something the person asked for; what goes wrong is told. Returns whether it went well. */
  async attempt(work) {
    try {
      await work();
      return true;
    } catch (error) {
      toast(say('wentWrong', { reason: reasonOf(error) }));
      return false;
    }
  }

  /** Why a message was refused, for a person. */
  reason({ error }) {
    const { unit, most = this.room.fileLimit } = error.details ?? {};
    const code = unit === 'pixels' ? 'too_many_pixels' : error.code;
    return reasonOf({ ...error, code }, { most: sizeWords(most, language), pixels: Math.floor(most / 1e6) });
  }

  #hear(frame) {
    if (frame.event === 'hello') this.#greet(frame.data);
    this.catchUp.hear(frame);
  }

  #greet({ resumed, limits }) {
    this.limits = limits ?? this.limits;
    if (!resumed) this.#knowMyself().catch(() => {}); // the name from the last visit does meanwhile
  }

  async #knowMyself() {
    const me = await this.api.me();
    if (me.id !== this.store.me?.id) return;
    this.store.me = me;
    this.store.meet(me);
    this.account.keepUser(me);
    this.#drawSoon();
  }

  #isReady() {
    this.ready = true;
    this.#pump();
    this.#drawSoon();
  }

  #lineIs(line) {
    this.line = line;
    this.banner.show(line);
    if (line.state === 'live') {
      this.lives += 1;
      this.#pump();
    }
    this.#drawSoon();
  }

  #pump() {
    this.uploads.pump();
    this.outbox.pump();
    this.reading.pump();
    this.catchUp.ask();
  }

  #arrive() {
    this.address = location.hash;
    this.route = parseRoute(this.address);
  }

  #routed() {
    this.#arrive();
    if (this.route.place === 'join') {
      const { id } = this.route;
      this.goInstead(TO_LIST);
      openJoinGroup(this, id);
    }
    this.typing.over();
    this.sidebar.search.clear();
    this.#draw();
  }

  #tick() {
    if (this.store.typists.any) this.store.typists.sweep();
    this.#drawSoon();
  }

  /** At the next frame; a hidden page gets none, and its title has to be right all the same. */
  #drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    if (document.hidden) setTimeout(() => this.#draw());
    else requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#drawing = false;
    if (this.#stops.signal.aborted) return;
    this.node.dataset.place = this.route.place;
    this.room.render();
    this.sidebar.render();
    drawTitle(this.store.unreadTotal);
    this.people.look();
  }
}
