#!/usr/bin/env node
/**
 * Makes V8's code cache of the daemon (see launcher.cjs): starts it twice beside a stand-in for Redis,
 * so that signalling, storing and restoring have been compiled, and keeps what is there when it ends.
 * Everything is on loopback. Without a cache the daemon works, and starts more slowly.
 */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../dist/bin/rtprelayd.js', import.meta.url));
/** One for each version of Node; the name is the launcher's, too. */
const cache = fileURLToPath(new URL(`../dist/bin/cache/${process.version}`, import.meta.url));
const calls = 40;
const limitMs = 20_000;

/** The few commands that the daemon sends, in RESP2. */
class StandIn {
  values = new Map();
  #server = createServer((socket) => {
    let rest = '';
    socket.setEncoding('latin1');
    socket.on('error', () => socket.destroy());
    socket.on('data', (text) => {
      rest += text;
      for (;;) {
        const parsed = parse(rest);
        if (parsed === null) return;
        rest = rest.slice(parsed.length);
        socket.write(this.#answer(parsed.words), 'latin1');
      }
    });
  });

  async listen() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this.#server.address().port;
  }

  close() {
    this.#server.close();
  }

  #answer([name, ...words]) {
    switch (name.toUpperCase()) {
      case 'PING':
        return '+PONG\r\n';
      case 'INFO':
        return bulk('run_id:0\r\nrole:master\r\n');
      case 'CLIENT':
        return ':1\r\n';
      case 'DEL':
        return `:${words.filter((key) => this.values.delete(key)).length}\r\n`;
      case 'SCAN':
        return `*2\r\n$1\r\n0\r\n${list([...this.values.keys()].map(bulk))}`;
      case 'HSCAN':
        return `*2\r\n$1\r\n0\r\n*0\r\n`;
      case 'TIME':
        return list([bulk('1'), bulk('1')]);
      case 'MGET':
        return list(words.map((key) => bulk(this.values.get(key))));
      case 'SET':
        this.values.set(words[0], words[1]);
        return '+OK\r\n';
      case 'CONFIG':
        return list([bulk(words[1] ?? ''), bulk('KA')]);
      default:
        return '+OK\r\n';
    }
  }
}

const bulk = (text) => (text === undefined ? '$-1\r\n' : `$${text.length}\r\n${text}\r\n`);
const list = (items) => `*${items.length}\r\n${items.join('')}`;

/** The first command of `text`; null when it is not whole. */
function parse(text) {
  let at = 0;
  const line = () => {
    const end = text.indexOf('\r\n', at);
    if (end < 0) return null;
    const found = text.slice(at, end);
    at = end + 2;
    return found;
  };
  const count = line();
  if (count === null) return null;
  const words = [];
  for (let n = Number(count.slice(1)); n > 0; n--) {
    const length = line();
    if (length === null || text.length < at + Number(length.slice(1)) + 2) return null;
    words.push(text.slice(at, at + Number(length.slice(1))));
    at += Number(length.slice(1)) + 2;
  }
  return { words, length: at };
}

const string = (text) => `${text.length}:${text}`;
const sdp = (port) =>
  `v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n` +
  `m=audio ${port} RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n`;

async function freePort() {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

/** Starts the daemon, has it do `work`, stops it. Returns what it wrote. */
async function live(redisPort, work) {
  const port = await freePort();
  const options = ['--config-file=none', '-f', '-E', '--log-level=6', '--interface=127.0.0.1'];
  options.push(`--listen-ng=127.0.0.1:${port}`, `--redis=127.0.0.1:${redisPort}/0`);
  options.push('--port-min=16384', '--port-max=32767', '--delete-delay=0', '--num-threads=1');
  const { NOTIFY_SOCKET: _none, ...env } = process.env;
  const child = spawn(process.execPath, [program, ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...env, RTPRELAY_PAIR: 'no', RTPRELAY_KEEP_CODE_CACHE: cache },
  });
  let log = '';
  child.stderr.on('data', (text) => (log += text));
  const ended = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const socket = createSocket('udp4');
  try {
    let cookie = 0;
    let answered = () => {};
    socket.on('message', () => answered(true));
    const ask = async (body) => {
      for (let tries = 0; tries < 200 && child.exitCode === null; tries++) {
        const reply = new Promise((resolve) => {
          answered = resolve;
          setTimeout(resolve, 50, false);
        });
        socket.send(`${++cookie} ${body}`, port, '127.0.0.1');
        if (await reply) return;
      }
      throw new Error(`the daemon does not answer: ${log}`);
    };
    await ask('d7:command4:pinge');
    await work(ask);
  } finally {
    socket.close();
    child.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
  }
  return log;
}

async function signal(ask) {
  for (let n = 0; n < calls; n++) {
    const tags = `7:call-id${string(`call-${n}`)}8:from-tag1:a`;
    await ask(`d7:command5:offer${tags}3:sdp${string(sdp(6000 + 4 * n))}e`);
    await ask(`d7:command6:answer${tags}6:to-tag1:b3:sdp${string(sdp(6002 + 4 * n))}e`);
  }
  await ask(`d7:command5:query7:call-id6:call-0e`);
}

/** As `signal`, then the calls end. */
async function signalAndDelete(ask) {
  await signal(ask);
  for (let n = 0; n < calls; n++)
    await ask(`d7:command6:delete7:call-id${string(`call-${n}`)}8:from-tag1:ae`);
}

const redis = new StandIn();
try {
  rmSync(cache, { force: true });
  mkdirSync(dirname(cache), { recursive: true });
  const redisPort = await redis.listen();
  await live(redisPort, signal);
  if (redis.values.size !== calls) throw new Error(`${redis.values.size} calls were stored`);
  const log = await live(redisPort, signalAndDelete);
  if (redis.values.size !== 0) throw new Error(`${redis.values.size} calls are left`);
  if (log.includes('the code cache is refused')) throw new Error('V8 refuses what it has made');
} catch (error) {
  console.error(`no code cache: ${error.message}`);
} finally {
  redis.close();
}
