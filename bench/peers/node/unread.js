'use strict';
// Unread counts: one hash per user, one field per conversation. Nobody waits for them; Redis gets them in order.

function report(error) {
  console.error('unread:', error.message);
}

// What everybody is told: a number per conversation, and the sum.
async function read(redis, user) {
  const conversations = await redis.hgetall(`unread:${user}`);
  let total = 0;
  for (const id in conversations) total += conversations[id] = Number(conversations[id]);
  return { total, conversations };
}

// HINCRBY per recipient; ioredis sends all of one turn of the event loop together.
class Pipeline {
  constructor(redis) {
    this.redis = redis;
  }

  of(user) {
    return read(this.redis, user);
  }

  add(conversation, users) {
    for (const user of users) this.redis.hincrby(`unread:${user}`, conversation, 1).catch(report);
  }
}

// The same HINCRBYs inside Redis, one call per message: what a large group saves in ioredis.
class Script {
  constructor(redis) {
    this.redis = redis;
    redis.defineCommand('countUnread', {
      numberOfKeys: 1,
      lua: "for i = 1, #ARGV do redis.call('HINCRBY', 'unread:' .. ARGV[i], KEYS[1], 1) end",
    });
  }

  of(user) {
    return read(this.redis, user);
  }

  add(conversation, users) {
    this.redis.countUnread(conversation, ...users).catch(report);
  }
}

module.exports = { pipeline: Pipeline, script: Script };
