'use strict';
// Two ways to write a message durably. `write(message)` gives the message its id and createdAt and resolves once its
// row is committed: to nothing for a new message, to the first answer when this localId was stored before.

const COLUMNS = 'id, conversation_id, sender_id, local_id, type, content, created_at';
const IN_FLIGHT = 2; // batches: one is written while the next is prepared
const BATCH = 500; // messages

let last = 0;

// Rises strictly, also over restarts (a 2^53 is far), so that ids order a conversation.
function nextId() {
  last = Math.max(last + 1, Date.now() * 4096);
  return last;
}

function stamp(message) {
  message.id = String(nextId());
  message.createdAt = new Date().toISOString();
}

async function findKnown(pool, message) {
  const { rows } = await pool.query({
    name: 'known',
    text: `SELECT id, created_at AS "createdAt" FROM messages
           WHERE conversation_id = $1 AND sender_id = $2 AND local_id = $3`,
    values: [message.conversationId, message.senderId, message.localId],
  });
  return rows[0];
}

// One INSERT, one transaction, one round trip for each message.
class Single {
  constructor(pool) {
    this.pool = pool;
  }

  async write(message) {
    stamp(message);
    const { rowCount } = await this.pool.query({
      name: 'insert',
      text: `INSERT INTO messages (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
      values: [message.id, message.conversationId, message.senderId, message.localId, message.type, message.content,
        message.createdAt],
    });
    return rowCount ? undefined : findKnown(this.pool, message);
  }
}

// Group commit: what arrives while batches are on their way goes out together as the next one. No timer.
class Batch {
  constructor(pool) {
    this.pool = pool;
    this.waiting = [];
    this.flying = 0;
  }

  write(message) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ message, resolve, reject });
      if (this.waiting.length === 1) setImmediate(() => this.#fly());
    });
  }

  async #fly() {
    while (this.flying < IN_FLIGHT && this.waiting.length) {
      this.flying += 1;
      this.#commit(this.waiting.splice(0, BATCH));
    }
  }

  async #commit(batch) {
    try {
      const stored = await this.#insert(batch.map((entry) => entry.message));
      for (const { message, resolve } of batch) {
        resolve(!stored || stored.has(message.id) ? undefined : findKnown(this.pool, message));
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.flying -= 1;
    this.#fly();
  }

  // Resolves to the ids that were stored, or to null when all were.
  async #insert(messages) {
    const columns = [[], [], [], [], [], [], []];
    for (const message of messages) {
      stamp(message);
      columns[0].push(message.id);
      columns[1].push(message.conversationId);
      columns[2].push(message.senderId);
      columns[3].push(message.localId);
      columns[4].push(message.type);
      columns[5].push(message.content);
      columns[6].push(message.createdAt);
    }
    const { rowCount, rows } = await this.pool.query({
      name: 'insert-batch',
      text: `INSERT INTO messages (${COLUMNS})
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                                  $7::timestamptz[])
             ON CONFLICT DO NOTHING RETURNING id`,
      values: columns,
    });
    return rowCount === messages.length ? null : new Set(rows.map((row) => row.id));
  }
}

module.exports = { single: Single, batch: Batch };
