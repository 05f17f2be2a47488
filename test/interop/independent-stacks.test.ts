/**
 * WebRTC stacks of other people (scripts/independent-stacks installs them) with one another and with plain telephones,
 * through the daemon: ICE, DTLS-SRTP in both roles, media both ways.
 */
import { expect } from 'chai';
import { MediaDaemon, subjectKind } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { DataChannelPeer } from '../support/stacks/node-datachannel.js';
import { PlainPeer, stacksFolder, type StackPeer } from '../support/stacks/stack.js';
import { WeriftPeer } from '../support/stacks/werift.js';
import { pause, until } from '../support/wait.js';

const kinds = {
  werift: (mark: number): Promise<StackPeer> => WeriftPeer.open(mark),
  'node-datachannel': (mark: number): Promise<StackPeer> => DataChannelPeer.open(mark),
  plain: (mark: number): Promise<StackPeer> => PlainPeer.open(mark),
} as const;
type Kind = keyof typeof kinds;

/** werift does not read an a=rtcp without an address (findings/werift-rtcp-without-address.sh). */
const whole = ['full-rtcp-attribute'];

/** What the proxy asks for towards a side. */
const towards = (kind: Kind): Record<string, string | string[]> =>
  kind === 'plain'
    ? { 'transport-protocol': 'RTP/AVP', ICE: 'remove', 'rtcp-mux': ['demux'] }
    : {
        ...{ 'transport-protocol': 'UDP/TLS/RTP/SAVPF', ICE: 'force' },
        ...{ 'rtcp-mux': ['offer', 'require'], flags: ['SDES-off', 'generate-mid', ...whole] },
      };

describe('independent stacks', function () {
  this.timeout(60_000);
  let daemon: MediaDaemon;
  let ng: NgClient;
  const peers: StackPeer[] = [];

  before(async function () {
    if (stacksFolder === null) this.skip();
    daemon = await MediaDaemon.start(subjectKind, {});
    ng = daemon.client();
  });
  afterEach(() => {
    for (const peer of peers.splice(0)) peer.close();
  });
  after(async () => {
    ng?.close();
    await daemon?.stop('SIGKILL');
  });

  async function sdpOf(dictionary: Parameters<NgClient['ask']>[0]): Promise<string> {
    const reply = await ng.ask(dictionary);
    expect(reply['result'], JSON.stringify(reply)).to.equal('ok');
    return String(reply['sdp']);
  }

  /** @param role of the daemon towards the caller in the handshake. */
  async function call(from: Kind, to: Kind, role: 'active' | 'passive'): Promise<void> {
    const [caller, callee] = [await kinds[from](0x61), await kinds[to](0x62)];
    peers.push(caller, callee);
    const tags = { 'call-id': `${from} ${to} ${role}`, 'from-tag': 'a' };
    const words = { ...towards(to), DTLS: role };
    const offered = await sdpOf({
      ...{ command: 'offer', ...tags, ...words, 'DTLS-reverse': role },
      sdp: await caller.offer(),
    });
    const sdp = await callee.answer(offered);
    const answered = await sdpOf({
      ...{ command: 'answer', ...tags, 'to-tag': 'b', DTLS: role, sdp, flags: whole },
    });
    await caller.accept(answered);
    if (from !== 'plain') expect(answered).to.contain(`a=setup:${role}`);
    await until(
      () => [caller, callee].every((peer) => peer.state() === 'connected'),
      `both are connected: ${from}, ${to}`,
      20_000,
    );
    for (let sent = 0; sent < 100; sent += 1) {
      caller.send();
      callee.send();
      await pause(10);
    }
    // The first ones may come before both ends have their keys.
    await until(
      () => caller.received(0x62) >= 50 && callee.received(0x61) >= 50,
      `packets both ways: ${caller.received(0x62)} and ${callee.received(0x61)}`,
    );
    await ng.ask({ command: 'delete', ...tags, 'delete-delay': 0 });
  }

  for (const from of Object.keys(kinds) as Kind[]) {
    for (const to of Object.keys(kinds) as Kind[]) {
      if (from === 'plain' && to === 'plain') continue;
      for (const role of ['active', 'passive'] as const)
        it(`${from} calls ${to}, the daemon is ${role}`, () => call(from, to, role));
    }
  }
});
