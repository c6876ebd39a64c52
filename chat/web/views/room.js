/** The right side: one conversation with its head, its messages and where one writes; or what to do instead. */

import { Conversation } from '../conversation.js';
import { arrange, el, icon, iconButton } from '../dom.js';
import { History } from '../history.js';
import { TO_LIST, toConversation } from '../route.js';
import { draftKey } from '../store.js';
import { say } from '../words.js';
import { avatar } from './avatar.js';
import { Composer } from './composer.js';
import { Intake } from './intake.js';
import { faceOf, presenceOf, titleOf, typingIn } from './naming.js';
import { Timeline } from './timeline.js';
import { toast } from './toast.js';

const CONTENT_LIMIT = 5000; // characters, where the server names no other limit
const FILE_LIMIT = 10 * 1024 * 1024; // bytes, likewise

export class Room {
  #shown = null; // {conversation, timeline, composer, history}
  #drafts = new Map(); // person id -> Conversation that does not exist yet; as many as are visited

  /** `actions.members(conversation)` opens the group's sheet. */
  constructor(app, actions) {
    Object.assign(this, { app, actions });
    this.head = el('header', { class: 'room-head' });
    this.node = el('main', { class: 'room', id: 'room', tabIndex: -1 });
    this.intake = new Intake(this.node, () => this.#shown?.composer ?? null);
  }

  /** Draw what the route says; called after every change. */
  render() {
    const conversation = this.#conversation();
    if (conversation !== this.#shown?.conversation || (!conversation && this.node.dataset.state !== this.#state()))
      this.#change(conversation);
    if (!this.#shown) return;
    this.#drawHead(conversation);
    this.#shown.timeline.render();
  }

  /** The id of the conversation on screen, for the list. */
  get shownId() {
    return this.#shown?.conversation.id ?? null;
  }

  /** The most bytes of a file. */
  get fileLimit() {
    return this.app.limits?.uploadBytes ?? FILE_LIMIT;
  }

  #conversation() {
    const { store, route } = this.app;
    if (route.place === 'conversation') return store.conversations.get(route.id) ?? null;
    if (route.place !== 'person') return null;
    const known = store.privateWith(route.id);
    if (!known) return this.app.ready ? this.#draft(route.id) : null;
    this.app.goInstead(toConversation(known.id));
    return known;
  }

  /** A conversation that begins with its first message. */
  #draft(personId) {
    if (this.#drafts.has(personId)) return this.#drafts.get(personId);
    const draft = new Conversation(draftKey(personId), this.app.store.me.id);
    Object.assign(draft, { draft: true, peerId: personId, opened: true, hasOlder: false });
    this.#drafts.set(personId, draft);
    return draft;
  }

  #state() {
    if (this.app.route.place !== 'conversation') return 'empty';
    return this.app.looksFor(this.app.route.id) ? 'loading' : 'missing';
  }

  #change(conversation) {
    const before = this.#shown;
    before?.timeline.leave();
    this.#shown = conversation ? this.#enter(conversation, before) : null;
    this.drawnHead = '';
    const state = conversation ? 'shown' : this.#state();
    this.node.dataset.state = state;
    if (!conversation) return arrange(this.node, this.#placeholder(state));
    const { timeline, composer } = this.#shown;
    arrange(this.node, [this.head, timeline.node, composer.node]);
    if (composer === before?.composer) return;
    composer.fit();
    composer.focus();
  }

  #enter(conversation, before) {
    const { app } = this;
    const history = new History({ api: app.api, store: app.store, conversation });
    const onSeen = (seq) => !conversation.draft && app.reading.upTo(conversation, seq);
    const timeline = new Timeline(app, conversation, { history, onSeen });
    history.open();
    app.roster.see(conversation);
    return { conversation, timeline, history, composer: this.#composerFor(conversation, before) };
  }

  /** A draft that has become a conversation keeps its composer: somebody may be in the middle of a word. */
  #composerFor(conversation, before) {
    const begun = before?.conversation.draft && before.conversation.peerId === conversation.peerId;
    if (begun) return before.composer;
    const id = conversation.peerId ? draftKey(conversation.peerId) : conversation.id;
    const limit = this.app.limits?.contentCharacters ?? CONTENT_LIMIT;
    const fileLimit = () => this.fileLimit;
    const onSend = (text, files) => this.#send(text, files);
    return new Composer({ id, limit, fileLimit, onSend, onEdit: (text) => this.#edited(text) });
  }

  #send(content, files) {
    const { conversation, timeline } = this.#shown;
    const target = conversation.draft ? { toUser: conversation.peerId } : { conversation };
    const taken = this.app.outbox.post({ ...target, content, files });
    if (!taken) toast(say('tooManyWaiting'));
    this.app.typing.sent();
    timeline.forgetNew();
    timeline.toEnd();
    return taken;
  }

  #edited(text) {
    const { conversation } = this.#shown;
    if (!conversation.draft) this.app.typing.edited(conversation.id, text);
  }

  #drawHead(conversation) {
    const { store } = this.app;
    const isGroup = conversation.kind === 'group';
    const face = faceOf(store, conversation);
    const under = typingIn(store, conversation) || this.#subtitle(conversation);
    const signature = JSON.stringify([face, under, isGroup]);
    if (isGroup) this.app.roster.see(conversation);
    if (signature === this.drawnHead) return;
    this.drawnHead = signature;
    const titles = el(
      'div',
      { class: 'room-titles' },
      el('h2', {}, titleOf(store, conversation)),
      el('p', { class: face.online && !isGroup ? 'under here' : 'under' }, under),
    );
    this.back ??= iconButton('back', say('back'), () => this.app.go(TO_LIST), { class: 'icon-button back' });
    this.info ??= iconButton('info', say('members'), () => this.actions.members(this.#shown.conversation));
    arrange(this.head, [
      this.back,
      avatar(face, { group: isGroup, presence: !isGroup }),
      titles,
      ...(isGroup ? [this.info] : []),
    ]);
  }

  #subtitle(conversation) {
    if (conversation.kind === 'group') return say('memberCount', { count: conversation.memberCount });
    return conversation.peerId === this.app.store.me.id ? '' : presenceOf(this.app.store.person(conversation.peerId));
  }

  #placeholder(state) {
    if (state === 'loading')
      return [
        el(
          'div',
          { class: 'room-empty' },
          el('span', { class: 'spinner', role: 'status', 'aria-label': say('connecting') }),
        ),
      ];
    const words =
      state === 'missing'
        ? [el('p', {}, say('notAvailable'))]
        : [el('strong', {}, say('pickOne')), el('p', {}, say('pickOneHint'))];
    return [el('div', { class: 'room-empty' }, icon('bubble'), words)];
  }
}
