/** What the address says is on screen: `#/c/{conversation}`, `#/u/{person}`, `#/join/{group}`, or the list. */

const PLACES = { c: 'conversation', u: 'person', join: 'join' };

/** Read a location's hash: `{place: 'conversation' | 'person' | 'join' | 'list', id}`. */
export function parseRoute(hash) {
  const [, letter, id] = /^#\/(c|u|join)\/(.+)$/.exec(hash) ?? [];
  if (!letter) return { place: 'list', id: null };
  try {
    return { place: PLACES[letter], id: decodeURIComponent(id) };
  } catch {
    return { place: 'list', id: null }; // a broken %-escape names nothing
  }
}

const address = (letter) => (id) => `#/${letter}/${encodeURIComponent(id)}`;

export const toConversation = address('c');
export const toPerson = address('u');
export const toJoin = address('join');
export const TO_LIST = '#/';
