/** The verbs that travel on the live connection, and the REST route of each for when that is a long-poll. */

const enc = encodeURIComponent;
const inConversation = (id, rest) => `/conversations/${enc(id)}/${rest}`;

const ROUTES = {
  'message.send': ({ toUser, conversationId, ...body }) => ({
    path: toUser ? `/users/${enc(toUser)}/messages` : inConversation(conversationId, 'messages'),
    body,
  }),
  read: ({ conversationId, ...body }) => ({ path: inConversation(conversationId, 'read'), body }),
  delivered: ({ conversationId, ...body }) => ({ path: inConversation(conversationId, 'delivered'), body }),
  typing: ({ conversationId, ...body }) => ({ path: inConversation(conversationId, 'typing'), body }),
  sync: (body) => ({ path: '/sync', body }),
  'presence.watch': (body) => ({ method: 'PUT', path: '/presence/watch', body }),
};

/** Run a verb over REST for a session; its answer is what the live connection would have replied. */
export function overRest(api, op, data, session) {
  const { method = 'POST', path, body } = ROUTES[op](data);
  return api.call(method, path, { body, session });
}
