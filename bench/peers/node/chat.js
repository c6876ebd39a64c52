'use strict';
// What a client may ask of the server, and whom it tells.

const MAX_CONTENT = 5000; // characters

const isText = (value, max) => typeof value === 'string' && value.length > 0 && value.length <= max;

class Chat {
  constructor(io, { store, unread, groups }) {
    this.io = io;
    this.store = store;
    this.unread = unread;
    this.groups = groups;
  }

  connected(socket) {
    const { user, groups } = socket.data;
    socket.join([`user:${user}`, ...groups.map((id) => `group:${id}`)]);
    socket.on('message:send', (data, ack) => this.#answer(ack, () => this.#send(socket, data)));
    socket.on('group:create', (data, ack) => this.#answer(ack, () => this.#createGroup(user, data)));
    socket.on('presence:watch', (ids, ack) => {
      socket.join(ids.slice(0, 200).map((id) => `presence:${id}`));
      ack({});
    });
    socket.on('disconnect', () => this.#tellPresence(user));
    this.#tellPresence(user);
  }

  async #answer(ack, work) {
    try {
      ack(await work());
    } catch (error) {
      ack({ error: error.message });
    }
  }

  async #send(socket, data) {
    const message = this.#compose(socket.data.user, data);
    const to = await this.#recipients(message, data);
    const known = await this.store.write(message);
    if (known) return known;
    this.unread.add(message.conversationId, to.users);
    socket.to(to.room).emit('message', message);
    return { id: message.id, createdAt: message.createdAt };
  }

  #compose(user, data) {
    if (!isText(data.content, MAX_CONTENT) || !isText(data.localId, 64) || data.type !== 'text') {
      throw new Error('invalid_message');
    }
    const conversationId = data.groupId || `p:${[user, data.toUser].sort().join(':')}`;
    return { conversationId, senderId: user, localId: data.localId, type: data.type, content: data.content };
  }

  async #recipients({ senderId }, { groupId, toUser }) {
    if (!groupId) {
      if (!isText(toUser, 64)) throw new Error('invalid_message');
      return { room: `user:${toUser}`, users: [toUser] };
    }
    const members = await this.groups.members(groupId);
    if (!members.has(senderId)) throw new Error('forbidden');
    return { room: `group:${groupId}`, users: members.others(senderId) };
  }

  async #createGroup(user, { name, memberIds }) {
    const id = await this.groups.create(name, [user, ...memberIds]);
    this.io.in([user, ...memberIds].map((member) => `user:${member}`)).socketsJoin(`group:${id}`);
    return { id };
  }

  #tellPresence(user) {
    const room = `presence:${user}`;
    if (!this.io.of('/').adapter.rooms.has(room)) return;
    const online = this.io.of('/').adapter.rooms.has(`user:${user}`);
    this.io.to(room).emit('presence', { userId: user, online });
  }
}

module.exports = { Chat };
