/** What the timeline shows, one item after the other: days, the line above what is new, notices, messages. Pure. */

import { waitingEntry } from '../media.js';

const TOGETHER = 5 * 60000; // ms between messages of one person that are shown as one group

/**
 * Entries and waiting messages as items `{key, kind, entry?, first?, last?, mine?, status?}`; kind is `day`,
 * `new`, `notice` or `message`. `newAfter`: the position above which entries are new, or null. `statusOf(entry)`
 * gives the mark of an own entry; `dayOf(iso)` the local day.
 */
export function itemsOf({ entries, waiting, me, newAfter, statusOf, dayOf }) {
  const items = [];
  let marked = newAfter === null;
  let day = null;
  for (const entry of entries) {
    const itsDay = dayOf(entry.createdAt);
    if (itsDay !== day) items.push({ key: `day ${itsDay}`, kind: 'day', entry });
    day = itsDay;
    if (!marked && entry.seq > newAfter && entry.senderId !== me) {
      items.push({ key: 'new', kind: 'new' });
      marked = true;
    }
    items.push(itemOf(entry, me, statusOf));
  }
  items.push(...waiting.map((message) => waitingItem(message, me)));
  return grouped(items);
}

function itemOf(entry, me, statusOf) {
  if (entry.type === 'system') return { key: `seq ${entry.seq}`, kind: 'notice', entry };
  const mine = entry.senderId === me;
  // An own message keeps its place on the page when it turns from waiting into stored.
  const key = mine && entry.localId ? `local ${entry.localId}` : `seq ${entry.seq}`;
  return { key, kind: 'message', entry, mine, status: mine ? statusOf(entry) : null };
}

function waitingItem(message, me) {
  const status = message.error ? 'failed' : 'sending';
  return {
    key: `local ${message.localId}`,
    kind: 'message',
    entry: waitingEntry(message, me),
    mine: true,
    status,
  };
}

/** Mark the first and the last of what one person said in one go. */
function grouped(items) {
  const belongs = (one, next) =>
    one?.kind === 'message' &&
    next?.kind === 'message' &&
    one.entry.senderId === next.entry.senderId &&
    Math.abs(Date.parse(next.entry.createdAt) - Date.parse(one.entry.createdAt)) < TOGETHER;
  return items.map((item, at) => ({
    ...item,
    first: !belongs(items[at - 1], item),
    last: !belongs(item, items[at + 1]),
  }));
}
