/** Who is in a group and how far each has read: fetched when a group is looked at and when its size changes. */

const POSITIONS_UP_TO = 200; // members; in larger groups the server tells positions on request only
const PAGE = 100;

export class Roster {
  #known = new Map(); // group id -> member count at the last reading; of the groups looked at
  #reading = new Set();

  constructor({ api, store }) {
    Object.assign(this, { api, store });
  }

  /** The group is on screen: see that its members are known. */
  see({ id, kind, memberCount }) {
    if (kind !== 'group' || memberCount > POSITIONS_UP_TO) return;
    if (this.#known.get(id) === memberCount || this.#reading.has(id)) return;
    this.#known.set(id, memberCount);
    this.read(id).catch(() => this.#known.delete(id)); // asked again at the next sight
  }

  /** All members `{user, role, deliveredSeq, readSeq}` of a group, at most `most`. */
  async read(id, most = POSITIONS_UP_TO) {
    this.#reading.add(id);
    try {
      const members = await this.#pages(id, most);
      this.store.absorbMembers(id, members);
      return members;
    } finally {
      this.#reading.delete(id);
    }
  }

  async #pages(id, most) {
    const members = [];
    let cursor;
    do {
      const page = await this.api.members(id, cursor, PAGE);
      members.push(...page.members);
      cursor = page.nextCursor;
    } while (cursor && members.length < most);
    return members;
  }
}
