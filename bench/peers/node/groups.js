'use strict';
// Who is in which group: in PostgreSQL, and kept in memory from first use on (one process, so nothing goes stale).
const { randomUUID } = require('node:crypto');

class Members extends Set {
  #others = new Map();

  // Everybody but one, as an array; made once per sender, since large groups are sent to often.
  others(user) {
    if (!this.#others.has(user)) this.#others.set(user, [...this].filter((member) => member !== user));
    return this.#others.get(user);
  }
}

class Groups {
  constructor(pool) {
    this.pool = pool;
    this.known = new Map();
  }

  async of(user) {
    const query = { name: 'groups-of', text: 'SELECT group_id FROM members WHERE user_id = $1', values: [user] };
    return (await this.pool.query(query)).rows.map((row) => row.group_id);
  }

  members(id) {
    return this.known.get(id) || this.#load(id);
  }

  async #load(id) {
    const { rows } = await this.pool.query('SELECT user_id FROM members WHERE group_id = $1', [id]);
    const members = new Members(rows.map((row) => row.user_id));
    this.known.set(id, members);
    return members;
  }

  async create(name, users) {
    const id = `g${randomUUID()}`;
    await this.pool.query(
      `WITH made AS (INSERT INTO groups (id, name) VALUES ($1, $2) RETURNING id)
       INSERT INTO members (group_id, user_id) SELECT made.id, u FROM made, unnest($3::text[]) u`,
      [id, name, users],
    );
    return id;
  }
}

module.exports = { Groups };
