/**
 * One conversation as this page holds it. Pure: no network, no document, no clock.
 *
 * The entries held are a *window*: everything from its first entry up to `heldSeq`, without a hole. An entry
 * that would leave a hole is not kept; the conversation is then `behind`, and a sync brings it with the others.
 * So whatever order things arrive in, the window is a true piece of what the database holds.
 */

import { Positions } from './positions.js';

/** Entries kept of a conversation that is not on screen: one page to show at once when it is opened. */
export const RESTING_ENTRIES = 50;

const MOVES = { joined: 1, added: 1, left: -1, removed: -1 };

/** By how many members a notice has moved a group. */
function membersMoved({ metadata }) {
  const { kind, userIds = [] } = metadata?.notice ?? {};
  return (MOVES[kind] ?? 0) * userIds.length;
}

export class Conversation {
  /** `me` is the id of the user whose page this is. */
  constructor(id, me) {
    Object.assign(this, { id, me, kind: 'private', name: '', avatar: null, peerId: null, role: null });
    Object.assign(this, { memberCount: 0, joining: null, pinned: false, muted: false, createdAt: '' });
    this.entries = [];
    this.heldSeq = 0; // the window is complete up to here
    this.lastSeq = 0; // the newest entry known to exist
    this.change = 0; // every change up to here has been seen
    this.farChange = 0; // the highest change seen, perhaps beyond a hole
    this.asked = { lastSeq: 0, farChange: 0 };
    this.readSeq = 0;
    this.unread = 0;
    this.counted = { unread: 0, seq: 0 }; // what the server said, and the last entry that it included
    this.opened = false; // the newest page of history has been read
    this.hasOlder = true;
    this.positions = new Positions();
  }

  /** True when something happened that this page has not seen: ask for a sync. */
  get behind() {
    return this.lastSeq > this.heldSeq || this.farChange > this.change;
  }

  get lastEntry() {
    return this.entries.at(-1) ?? null;
  }

  /** What the list sorts by: the newest sign of life. */
  get activeAt() {
    return this.lastEntry?.createdAt ?? this.createdAt ?? '';
  }

  /** Where this page stands, as a sync is asked; what was known at that moment is remembered until its answer. */
  stand() {
    this.asked = { lastSeq: this.lastSeq, farChange: this.farChange };
    return { seq: this.heldSeq, change: this.change };
  }

  /** Take the server's description of the conversation (from the list, or fetched alone). */
  absorbSummary(summary) {
    this.#describe(summary);
    if (this.opened) this.#learnOf(summary.lastSeq, summary.change);
    else if (summary.lastSeq >= this.heldSeq) this.#standAt(summary);
    this.readSeq = Math.max(this.readSeq, summary.readSeq ?? 0);
    if (summary.lastSeq >= this.counted.seq) this.counted = { unread: summary.unread ?? 0, seq: summary.lastSeq };
    this.#recount();
  }

  /** Take an entry, new or changed, from a live event, a batch or a reply. */
  absorbEntry(entry) {
    this.#noteChange(entry.change);
    if (entry.seq === this.heldSeq + 1) this.#append(entry);
    else if (entry.seq > this.heldSeq) this.lastSeq = Math.max(this.lastSeq, entry.seq);
    else this.#lay(entry);
    this.#recount();
  }

  /** Take the newest page of history; from now on the window is kept complete by syncs. */
  absorbNewest({ messages, hasMore }) {
    const apart = messages.length > 0 && messages[0].seq > this.heldSeq + 1;
    if (apart) this.entries = [];
    if (apart || !this.opened) this.hasOlder = hasMore;
    this.opened = true;
    this.#merge(messages);
    this.#recount();
  }

  /** Take the page before the window. */
  absorbOlder({ messages, hasMore }) {
    this.hasOlder = hasMore;
    const first = this.entries[0]?.seq ?? Infinity;
    this.entries = [...messages.filter((entry) => entry.seq < first), ...this.entries];
    this.#recount();
  }

  /** Take a sync's answer: the newest entries after what was held, and the held ones that changed since. */
  absorbSync(answer) {
    const { messages = [], changed = [], lastSeq, change, readSeq = 0, unread } = answer;
    const nothingNew = this.#holdsAll(answer);
    for (const entry of changed) this.#lay(entry);
    if (answer.hasMore) this.#restartWith(messages);
    else this.#merge(messages);
    this.heldSeq = Math.max(this.heldSeq, lastSeq);
    this.lastSeq = Math.max(this.lastSeq, lastSeq);
    this.change = Math.max(this.change, change);
    this.readSeq = Math.max(this.readSeq, readSeq);
    if (nothingNew) Object.assign(this, { lastSeq: this.heldSeq, farChange: this.change }); // the database rules
    if (unread !== undefined) this.counted = { unread, seq: lastSeq };
    this.#recount();
  }

  /** A change without an entry of its own (a new name, a role). */
  absorbChange(change) {
    this.#noteChange(change);
  }

  /** This user has cleared it: nothing up to `seq` is to be seen any more. */
  clear(seq) {
    this.entries = this.entries.filter((entry) => entry.seq > seq);
    this.hasOlder = false;
    this.read(seq);
  }

  /** Another device of this user read: the server's number holds up to `lastSeq`; what is held beyond comes on top. */
  absorbUnread({ readSeq, unread, lastSeq }) {
    if (readSeq < this.readSeq || (readSeq === this.readSeq && lastSeq < this.counted.seq)) return;
    this.readSeq = readSeq;
    this.counted = { unread, seq: lastSeq };
    this.#recount();
  }

  /** This user has read up to here. Returns whether that is news. */
  read(seq) {
    if (seq <= this.readSeq) return false;
    this.readSeq = seq;
    this.#recount();
    return true;
  }

  /** Let go of old entries, when the conversation leaves the screen or its reader is back at its end. */
  rest(keep = RESTING_ENTRIES) {
    if (this.entries.length <= keep) return;
    this.counted = { unread: this.unread, seq: this.heldSeq };
    this.entries = this.entries.slice(-keep);
    this.hasOlder = true;
  }

  /** `sent`, `delivered` or `read`: of one's own entry, by everybody else. */
  statusOf(entry) {
    const { delivered, read, of } = this.positions.reach(entry.seq, this.me);
    if (of === 0) return this.peerId === this.me ? 'read' : 'sent';
    if (read === of) return 'read';
    return delivered === of ? 'delivered' : 'sent';
  }

  #describe(summary) {
    const {
      kind,
      name,
      avatar,
      role = null,
      memberCount = 0,
      joining = null,
      pinned,
      muted,
      createdAt,
      peer,
    } = summary;
    Object.assign(this, { kind, name, avatar, createdAt, role, memberCount, joining });
    Object.assign(this, { pinned: Boolean(pinned), muted: Boolean(muted) });
    if (!peer) return;
    this.peerId = peer.id;
    if (peer.id !== this.me) this.positions.advance(peer.id, peer);
  }

  /** Not opened yet: only its last message is held, so the server's newer state simply replaces ours. */
  #standAt({ lastMessage, lastSeq, change }) {
    const kept = lastSeq === this.heldSeq ? this.entries : [];
    this.entries = kept.length || !lastMessage ? kept : [lastMessage];
    this.heldSeq = lastSeq;
    this.lastSeq = Math.max(this.lastSeq, lastSeq);
    this.change = Math.max(this.change, change ?? 0);
    if (lastMessage) this.#lay(lastMessage);
  }

  #learnOf(lastSeq, change) {
    this.lastSeq = Math.max(this.lastSeq, lastSeq);
    this.farChange = Math.max(this.farChange, change ?? 0);
  }

  #noteChange(change) {
    if (change === undefined) return;
    if (change === this.change + 1) this.change = change;
    this.farChange = Math.max(this.farChange, change);
  }

  #append(entry) {
    this.entries.push(entry);
    this.memberCount += membersMoved(entry);
    this.heldSeq = entry.seq;
    this.lastSeq = Math.max(this.lastSeq, entry.seq);
    if (!this.opened && this.entries.length > 2 * RESTING_ENTRIES) {
      this.#recount();
      this.rest();
    }
  }

  /** Put an entry into the window: the higher change wins; one before the window is read with its page. */
  #lay(entry) {
    let at = this.entries.length;
    while (at > 0 && this.entries[at - 1].seq > entry.seq) at -= 1;
    const held = this.entries[at - 1];
    if (held?.seq === entry.seq) {
      if ((entry.change ?? 0) >= (held.change ?? 0)) this.entries[at - 1] = entry;
    } else if (at > 0) this.entries.splice(at, 0, entry);
  }

  #merge(messages) {
    const bySeq = new Map(messages.map((entry) => [entry.seq, entry]));
    for (const entry of this.entries) {
      const rival = bySeq.get(entry.seq);
      if (!rival || (entry.change ?? 0) > (rival.change ?? 0)) bySeq.set(entry.seq, entry);
    }
    this.entries = [...bySeq.values()].sort((one, other) => one.seq - other.seq);
    this.heldSeq = Math.max(this.heldSeq, this.lastEntry?.seq ?? 0);
    this.lastSeq = Math.max(this.lastSeq, this.heldSeq);
  }

  /** Whether a sync brings nothing, and no new hole has shown since it was asked. */
  #holdsAll({ lastSeq, change }) {
    const { asked } = this;
    const sameSince = asked.lastSeq === this.lastSeq && asked.farChange === this.farChange;
    return sameSince && lastSeq <= this.heldSeq && change <= this.change;
  }

  /** More was missed than a sync carries: begin again at its end; what lies between is read by scrolling up. */
  #restartWith(messages) {
    this.entries = [...messages];
    this.hasOlder = true;
  }

  #recount() {
    const first = this.entries[0]?.seq ?? Infinity;
    const isUnread = (after) => (entry) => entry.seq > after && this.#counts(entry);
    if (this.readSeq >= this.heldSeq) this.unread = 0;
    else if (first <= this.readSeq + 1 || (this.opened && !this.hasOlder)) {
      this.unread = this.entries.filter(isUnread(this.readSeq)).length;
    } else this.unread = this.counted.unread + this.entries.filter(isUnread(this.counted.seq)).length;
  }

  #counts(entry) {
    return entry.type !== 'system' && !entry.recalledAt && entry.senderId !== this.me;
  }
}
