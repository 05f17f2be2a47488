/**
 * A SIP proxy that re-INVITEs the calls of the load generator without end, in the phones' namespace. Lines on
 * stdin: `to HOST` (whom to ask), `list HOST` (answered by `list ID...`), `end`. What is wrong is a line on stdout.
 */
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { mediaPort, NgClient } from '../../test/support/ng-client.js';
import { Random } from './random.js';

const [seed = '1', calls = '1', rate = '10', address = '', firstPort = '10000', port = '2223'] =
  process.argv.slice(2);
const random = new Random(Number(seed));
const clients = new Map<string, NgClient>();
/** The relay's port for a party of a call, which a re-INVITE does not change. */
const ports = new Map<string, number>();
let asked = '';
let ended = false;

function client(host: string): NgClient {
  let found = clients.get(host);
  if (found === undefined) clients.set(host, (found = new NgClient(Number(port), host)));
  return found;
}

const sdp = (at: number): string =>
  `v=0\r\no=- 1 1 IN IP4 ${address}\r\ns=-\r\nc=IN IP4 ${address}\r\nt=0 0\r\nm=audio ${at} RTP/AVP 8 0 101\r\n` +
  'a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=ptime:20\r\n';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function compare(callId: string, party: string, reply: Parameters<typeof mediaPort>[0]): void {
  if (reply['result'] !== 'ok') {
    say(`${callId}: ${party} got ${JSON.stringify(reply)}`);
    return;
  }
  const key = `${callId} ${party}`;
  const now = mediaPort(reply);
  const before = ports.get(key) ?? now;
  if (before !== now) say(`${callId}: ${party} had port ${before} and now has ${now}`);
  ports.set(key, now);
}

async function invite(number: number): Promise<void> {
  const callId = `load-${number}`;
  const own = Number(firstPort) + 4 * number;
  const common = { 'call-id': callId, 'from-tag': 'a' };
  // Sent again until somebody answers, as a proxy would.
  const options = { tries: 100, intervalMs: 200 };
  const ask = client(asked);
  compare(callId, 'b', await ask.ask({ ...common, command: 'offer', sdp: sdp(own) }, options));
  const answer = { ...common, command: 'answer', 'to-tag': 'b', sdp: sdp(own + 2) };
  compare(callId, 'a', await ask.ask(answer, options));
}

async function list(host: string): Promise<void> {
  const { calls: ids } = await client(host).ask({ command: 'list', limit: 100_000 });
  say(`list ${(Array.isArray(ids) ? ids : []).join(' ')}`);
}

async function run(): Promise<void> {
  while (!ended) {
    await delay(1000 / Number(rate));
    if (asked === '') continue;
    const number = Math.floor(random.next() * Number(calls));
    await invite(number).catch((error: unknown) => say(`load-${number}: ${String(error)}`));
  }
  say('ended');
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, host = ''] = line.split(' ');
  if (word === 'to') asked = host;
  else if (word === 'list') void list(host).catch((error: unknown) => say(`list ${String(error)}`));
  else if (word === 'end') ended = true;
  else process.exit(0);
});
void run();
