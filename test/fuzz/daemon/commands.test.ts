/**
 * All commands in any order about the same few calls, their keys and bodies changed here and there: each is
 * done or refused for a reason, other calls go on, and nothing is left of the calls once they are deleted.
 */
import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { parseRows, requestOf } from '../../integration/conformance/row.js';
import { isDictionary, isList, type NgDictionary, type NgValue } from '../../support/bencode.js';
import { MediaDaemon } from '../../support/daemons.js';
import type { NgClient } from '../../support/ng-client.js';
import { pickOf, randomSource } from '../../support/random.js';
import { buildSdp } from '../../support/sdp.js';

const requests = 1500;
const bystanders = 5;

const random = randomSource(20_261_129);
const pick = <T>(values: readonly T[]): T => pickOf(values, random);

const folder = new URL('../../integration/conformance/rows/', import.meta.url);
const usual: readonly NgDictionary[] = readdirSync(folder).flatMap((file) =>
  parseRows(readFileSync(new URL(file, folder), 'latin1')).flatMap(({ steps }) =>
    steps.map((step) => requestOf(step, '')),
  ),
);

const commands = [
  ...['offer', 'answer', 'delete', 'query', 'publish', 'subscribe request', 'subscribe answer'],
  ...['unsubscribe', 'connect', 'mesh', 'create', 'create answer', 'transform', 'block media'],
  ...['unblock media', 'silence media', 'block DTMF', 'play media', 'inject start'],
] as const;
const flags = [
  ...['WebRTC', 'generate-mid', 'trickle-ICE', 'fragment', 'all', 'siprec', 'bidirectional'],
  ...['directional', 'reset', 'recrypt', 'passthrough', 'asymmetric', 'egress', 'inactive'],
  ...['unsubscribe', 'new-branch', 'block-DTMF', 'generate-RTCP', 'strict-source'],
] as const;
const keys: readonly (readonly [key: string, value: NgValue])[] = [
  ['transport-protocol', 'UDP/TLS/RTP/SAVPF'],
  ['transport-protocol', 'RTP/SAVP'],
  ['ICE', 'force'],
  ['ICE', 'optional'],
  ['rtcp-mux', ['require']],
  ['rtcp-mux', ['demux']],
  ['bundle', ['offer']],
  ['bundle', ['require']],
  ['DTLS', 'passive'],
  ['codec', { strip: ['all'], offer: ['PCMA'] }],
  ['address-family', 'IP6'],
  ['direction', ['dual', 'ext']],
  ['media-echo', 'both'],
  ['sdp-media-remove', ['audio']],
  ['alias-key', 'sdp'],
  ['replace', ['origin-full', 'SDP-version', 'session-name']],
  ['from-tags', ['a', 'x', 'b']],
  ['tags', [{ from: 'a', to: ['x', 'b'] }]],
  ['calls', ['c1', 'c2']],
  ['to-call-id', 'c3'],
  ['via-branch', 'b1'],
];
const texts = [
  ...['0', '-1', '65535', '65536', '', ' ', '\0', 'IN IP6 ::1', 'm=audio 0', '__proto__', '\xff'],
  ...['a=mid:1', 'a=group:BUNDLE 1', 'a=extmap:15 urn:x', 'a=setup:actpass', 'a=rtcp:0', '7000/3'],
];
const tags = ['a', 'x', 'b', 'p', 's', ''] as const;

function changedText(text: string): string {
  const lines = text.split('\r\n');
  const at = random(lines.length);
  const words = text.split(' ');
  switch (random(5)) {
    case 0:
      return lines.toSpliced(at, 1).join('\r\n');
    case 1:
      return lines.toSpliced(at, 0, pick(texts)).join('\r\n');
    case 2:
      return lines.toSpliced(at, 0, pick(lines)).join('\r\n');
    case 3:
      return words.with(random(words.length), pick(texts)).join(' ');
    default:
      return text.slice(0, random(text.length + 1));
  }
}

function changed(value: NgValue): NgValue {
  if (random(12) === 0) return pick<NgValue>([0, -5, '', [], {}, 'on', ['x', 'y'], pick(texts)]);
  if (typeof value === 'string') return changedText(value);
  if (typeof value === 'number') return pick([0, -1, 255, 65_536, 3]);
  if (isList(value)) return [...value, pick(texts)];
  return isDictionary(value) ? { ...value, [pick(texts)]: 'x' } : value;
}

function nextRequest(): NgDictionary {
  const request: Record<string, NgValue> = { ...pick(usual), 'call-id': `c${random(6)}` };
  if (random(3) === 0) request['command'] = pick(commands);
  if (random(3) === 0) request['flags'] = [pick(flags), pick(flags)];
  for (let more = random(3); more > 0; more -= 1) {
    const [key, value] = pick(keys);
    request[key] = value;
  }
  for (const key of ['from-tag', 'to-tag']) if (random(4) === 0) request[key] = pick(tags);
  const others = Object.keys(request).filter((name) => name !== 'command' && name !== 'call-id');
  for (let more = others.length === 0 ? 0 : random(3); more > 0; more -= 1) {
    const key = pick(others);
    request[key] = changed(request[key] ?? '');
  }
  return request;
}

describe('commands in any order', function () {
  this.timeout(180_000);
  let daemon: MediaDaemon | undefined;
  let client: NgClient | undefined;

  before(async () => {
    const interfaces = ['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5', 'dual/127.0.0.1', 'dual/::1'];
    const extra = ['--timeout=3600'];
    daemon = await MediaDaemon.start('rtprelayd', {
      interfaces,
      mediaPorts: 1500,
      extra,
      logLevel: 3,
    });
    client = daemon.client();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });

  const ask = async (request: NgDictionary): ReturnType<NgClient['ask']> => {
    if (client === undefined) throw new Error('not started');
    return client.ask(request);
  };

  it('are done or refused, and cost no other call anything', async () => {
    for (let at = 0; at < bystanders; at += 1) {
      const call = { 'call-id': `bystander ${at}`, 'from-tag': 'a', sdp: buildSdp({}) };
      await ask({ command: 'offer', ...call });
      await ask({ command: 'answer', ...call, 'to-tag': 'x' });
    }
    const answers = new Map<string, number>();
    for (let at = 0; at < requests; at += 1) {
      const request = nextRequest();
      const reply = await ask(request);
      const reason = String(reply['error-reason'] ?? reply['result']);
      expect(reason, JSON.stringify(request)).not.to.match(/internal error/i);
      answers.set(reason, (answers.get(reason) ?? 0) + 1);
    }
    expect(answers.get('ok'), 'they mean something').to.be.above(requests / 4);
    for (let at = 0; at < bystanders; at += 1) {
      const reply = await ask({ command: 'query', 'call-id': `bystander ${at}` });
      expect(Object.keys(reply['tags'] as NgDictionary)).to.deep.equal(['a', 'x']);
    }
    const { calls } = await ask({ command: 'list', limit: 10_000 });
    for (const callId of isList(calls) ? calls : [])
      await ask({ command: 'delete', 'call-id': callId, 'delete-delay': 0 });
    const { statistics } = await ask({ command: 'statistics' });
    const { interfaces } = statistics as { interfaces: readonly { ports: { used: number } }[] };
    expect(interfaces.map(({ ports }) => ports.used)).to.deep.equal([0, 0, 0, 0]);
  });
});
