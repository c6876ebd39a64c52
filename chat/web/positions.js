/**
 * How far each member of a conversation has come: delivered and read, as entry numbers.
 * Positions only grow: a smaller number that arrives later is old news. Pure.
 */

export class Positions {
  #byUser = new Map();

  /** Take news of one member; either number may be missing. Having read implies having it. */
  advance(userId, { deliveredSeq = 0, readSeq = 0 }) {
    const held = this.#byUser.get(userId) ?? { deliveredSeq: 0, readSeq: 0 };
    const read = Math.max(held.readSeq, readSeq ?? 0);
    const delivered = Math.max(held.deliveredSeq, deliveredSeq ?? 0, read);
    this.#byUser.set(userId, { deliveredSeq: delivered, readSeq: read });
  }

  /** Keep only these members: somebody who left is no longer waited for. */
  keep(userIds) {
    const kept = new Set(userIds);
    for (const userId of this.#byUser.keys()) if (!kept.has(userId)) this.#byUser.delete(userId);
  }

  /** How many members other than `exceptId` have, and have read, the entry: `{delivered, read, of}`. */
  reach(seq, exceptId) {
    const reached = { delivered: 0, read: 0, of: 0 };
    for (const [userId, position] of this.#byUser) {
      if (userId === exceptId) continue;
      reached.of += 1;
      if (position.deliveredSeq >= seq) reached.delivered += 1;
      if (position.readSeq >= seq) reached.read += 1;
    }
    return reached;
  }
}
