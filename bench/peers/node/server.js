'use strict';
// A chat on Socket.IO as a careful team would write it: the peer that ours is measured against.
//
//   node --max-semi-space-size=32 server.js --store=single|batch --unread=pipeline|script --workers=1
//
// (a larger young generation: a tenth less garbage collection for 2 kB more per idle connection). Several workers share
// the port, as Node's cluster has it, and tell each other through Socket.IO's Redis adapter.
// Environment: PORT, DATABASE_URL, REDIS_URL, JWT_SECRET. The process serves until it is told to stop.
const cluster = require('node:cluster');
const { createSecretKey } = require('node:crypto');
const { createAdapter } = require('@socket.io/redis-adapter');
const express = require('express');
const http = require('node:http');
const Redis = require('ioredis');
const jwt = require('jsonwebtoken');
const { Pool } = require('pg');
const { Server } = require('socket.io');
const { parseArgs } = require('node:util');
const { Chat } = require('./chat');
const { Groups } = require('./groups');
const stores = require('./store');
const unreads = require('./unread');

const { values: flags } = parseArgs({
  options: {
    store: { type: 'string', default: 'single' },
    unread: { type: 'string', default: 'pipeline' },
    workers: { type: 'string', default: '1' },
  },
});
const workers = Number(flags.workers);
process.on('SIGTERM', () => process.exit(0));
if (workers > 1 && cluster.isPrimary) {
  for (let number = 0; number < workers; number += 1) cluster.fork();
  return;
}

// Of 5, 10 and 20 connections these stored most single inserts; the batches use two.
// As a key object: for a string jsonwebtoken first tries, and fails, to read it as PEM, at every token.
const secret = createSecretKey(Buffer.from(process.env.JWT_SECRET));
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 20 });
const redis = new Redis(process.env.REDIS_URL, { enableAutoPipelining: true });
const groups = new Groups(pool);
const store = new stores[flags.store](pool);
const unread = new unreads[flags.unread](redis);

const app = express();
app.disable('x-powered-by');
app.set('etag', false); // nobody asks with one, and it costs a digest of each answer
app.get('/unread', async (request, response) => {
  const { sub, exp } = jwt.verify(request.headers.authorization.slice('Bearer '.length), secret, { algorithms: ['HS256'] });
  if (!exp) throw new Error('a token without exp');
  response.json(await unread.of(sub));
});
app.use((request, response) => response.end('ok'));
const server = http.createServer(app);
const io = new Server(server, {
  transports: ['websocket', 'polling'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  maxHttpBufferSize: 64 * 1024, // bytes, the frame limit of ours
});
if (workers > 1) {
  const publisher = new Redis(process.env.REDIS_URL);
  io.adapter(createAdapter(publisher, publisher.duplicate()));
}
// Socket.IO's own advice for memory: let go of the upgrade request.
io.engine.on('connection', (raw) => { raw.request = null; });

io.use(async (socket, next) => {
  try {
    const claims = jwt.verify(socket.handshake.auth.token, secret, { algorithms: ['HS256'] });
    if (!claims.exp) throw new Error('a token without exp');
    socket.data.user = claims.sub;
    socket.data.groups = await groups.of(claims.sub);
    next();
  } catch (error) {
    next(new Error('unauthorized'));
  }
});

const chat = new Chat(io, { store, unread, groups });
io.on('connection', (socket) => chat.connected(socket));

server.listen(Number(process.env.PORT), '127.0.0.1', 1024);
