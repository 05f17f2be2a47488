/** What the live page is made of, without a daemon: traces, conditions, hops, events, wishes. */
import { expect } from 'chai';
import { losesAt, type hopOf } from '../../../../src/daemon/live/call-detail.js';
import { CallList, type CallSource } from '../../../../src/daemon/live/call-list.js';
import { combined, History, slots, traceOf } from '../../../../src/daemon/live/history.js';
import { NodeWatch } from '../../../../src/daemon/live/node-watch.js';
import { Order } from '../../../../src/daemon/live/order.js';
import { firstWish, parseWish } from '../../../../src/daemon/live/wish.js';
import { statusLine, statusText, type NodeStatus } from '../../../../src/daemon/node-status.js';
import { RestoreWatch } from '../../../../src/daemon/restore-watch.js';
import type { CallState } from '../../../../src/media/call-state.js';
import type { StreamGlance } from '../../../../src/media/relay.js';
import type { Gauges } from '../../../../src/observe/statistics.js';

describe('live page: histories', () => {
  it('keeps the last sixty slots, and gives slots that nobody looked at the mean', () => {
    const history = new History(2, 100);
    history.set(100, [1, 10]);
    history.set(103, [2, 20]);
    const values = history.read(0, 104);
    expect(values).to.have.length(slots);
    expect(values.slice(-5)).to.deep.equal([1, 2, 2, 2, NaN]);
    expect(history.read(1, 103).slice(-4)).to.deep.equal([10, 20, 20, 20]);
    history.set(300, [3, 30]);
    expect(new Set(history.read(0, 300))).to.deep.equal(new Set([3]));
    expect(history.read(0, 400).every(Number.isNaN)).to.equal(true);
  });

  it('writes a trace in characters that JSON leaves alone', () => {
    expect(traceOf([NaN, 0, 30, 60], 60)).to.deep.equal({ points: '-0Vz', top: 60 });
    expect(traceOf([120], 60)).to.deep.equal({ points: 'z', top: 120 });
  });

  it('puts lists together where something is known', () => {
    const [a, b] = [new Array<number>(slots).fill(1), new Array<number>(slots).fill(2)];
    a[0] = NaN;
    b[1] = NaN;
    const sum = combined([a, b], (x, y) => x + y);
    expect(sum.slice(0, 3)).to.deep.equal([2, 1, 3]);
  });
});

describe('live page: where a call loses', () => {
  const direction = (code?: keyof typeof hopOf) => ({
    findings: code === undefined ? [] : [{ code, weight: 'cause' as const, text: '', next: null }],
  });

  it('is what the deciding finding says', () => {
    expect(losesAt(direction('no-packets'), null, null)).to.equal('from');
    expect(losesAt(direction('blocked'), 20, 20)).to.equal('relay');
    expect(losesAt(direction('icmp-unreachable'), null, null)).to.equal('to');
  });

  it('is nowhere while the call is on hold', () => {
    expect(losesAt(direction('hold'), 20, 20)).to.equal(null);
  });

  it('is before the relay when fewer arrive than were sent, else behind it, if that is known', () => {
    expect(losesAt(direction(), 0, 0)).to.equal(null);
    expect(losesAt(direction(), 8, 8)).to.equal('from');
    expect(losesAt(direction(), 8, 0)).to.equal('to');
    expect(losesAt(direction(), 8, null)).to.equal('way');
    expect(losesAt(direction(), null, null)).to.equal(null);
  });
});

/** A call of two phones as far as the list looks at it. */
function state(callId: string, createdMicros: number, more: Partial<CallState> = {}): CallState {
  const media = (id: number) => ({
    ...{ id, participantId: id, type: 'audio', index: 1, direction: 'sendrecv', streams: [id] },
    subscriptions: [{ mediaId: 1 - id, offerAnswer: true, rtcpOnly: false, egress: false }],
  });
  const stream = (id: number) => ({
    ...{ id, mediaId: id, component: 1, selectedSocket: id, endpoint: null },
    flags: new Set(['filled']),
  });
  const value = {
    ...{ callId, createdMicros, lastSignalMicros: createdMicros, ownership: 'own', sockets: [] },
    ...{ createdFrom: '', participants: ['a', 'b'].map((tag, id) => ({ id, tag, label: null })) },
    ...{ medias: [media(0), media(1)], streams: [stream(0), stream(1)] },
    ...more,
  };
  return value as unknown as CallState;
}

const glance = (streamId: number, more: Partial<StreamGlance> = {}): StreamGlance => ({
  ...{ streamId, packets: 0, bytes: 0, errors: 0, kernelPackets: 0, packetsOut: 0 },
  ...{ lastPacketMicros: 0, lost: null, report: null },
  ...more,
});

describe('live page: the list', () => {
  let now: number;
  let calls: Map<string, CallState>;
  let glances: Map<string, StreamGlance[]>;
  let cost: number;
  let costPerReading: number;
  let looked: number;
  let list: CallList;

  beforeEach(() => {
    [now, cost, costPerReading, looked] = [1e9, 0, 0, 0];
    calls = new Map();
    glances = new Map();
    const source: CallSource = {
      calls: () => calls,
      glance: (callId) => {
        looked += 1;
        return glances.get(callId) ?? [glance(0), glance(1)];
      },
      localAddressOf: () => '192.0.2.1',
      nowMicros: () => now,
      costMs: () => (cost += costPerReading),
    };
    list = new CallList(source);
  });

  const conditionOf = (
    callId: string,
    streams: StreamGlance[],
    more: Partial<CallState> = {},
  ): string => {
    calls.set(callId, state(callId, now - 60e6, more));
    glances.set(callId, streams);
    return list.fresh(callId)?.row(now).condition ?? 'none';
  };

  it('tells conditions', () => {
    const heard = { packets: 5, lastPacketMicros: now - 1e6 };
    const report = {
      reportedAtSeconds: now / 1e6,
      jitterMs: 3,
      mos: 20,
      roundTripMicros: 0,
      packetLossPercent: 2,
    };
    expect(conditionOf('ok', [glance(0, heard), glance(1, heard)])).to.equal('ok');
    expect(conditionOf('one', [glance(0, heard), glance(1)])).to.equal('one-way');
    expect(conditionOf('none', [glance(0), glance(1)])).to.equal('silent');
    expect(conditionOf('poor', [glance(0, heard), glance(1, { ...heard, report })])).to.equal(
      'poor',
    );
    const foreign = { ownership: 'foreign' } as const;
    expect(conditionOf('other', [glance(0), glance(1)], foreign)).to.equal('standby');
    expect(conditionOf('young', [glance(0), glance(1)], { lastSignalMicros: now })).to.equal('ok');
    expect(list.conditions()).to.include({ ok: 2, 'one-way': 1, silent: 1, poor: 1, standby: 1 });
  });

  it('makes rates of what it sees, and takes old reports for none', () => {
    const report = {
      reportedAtSeconds: now / 1e6,
      jitterMs: 3,
      mos: 43,
      roundTripMicros: 1,
      packetLossPercent: 2,
    };
    const early = { packets: 100, bytes: 17_200, lastPacketMicros: now };
    conditionOf('call', [glance(0, early), glance(1, { ...early, report })]);
    now += 2e6;
    const late = { packets: 200, bytes: 34_400, lastPacketMicros: now };
    glances.set('call', [glance(0, late), glance(1, { ...late, report })]);
    const row = list.fresh('call')?.row(now);
    expect(row).to.include({
      packetsPerSecond: 100,
      bitsPerSecond: 137_600,
      lossPercent: 2,
      mos: 4.3,
    });
    now += 60e6;
    expect(list.fresh('call')?.row(now)).to.include({ lossPercent: null, mos: null });
  });

  it('looks at no more calls in a turn than the turn may cost', () => {
    for (let at = 0; at < 400; at += 1) calls.set(`c${at}`, state(`c${at}`, at));
    list.compare();
    list.turn();
    expect(list.size, 'new ones at once, while they are cheap').to.equal(400);
    looked = 0;
    list.turn();
    expect(looked, 'a twentieth').to.equal(20);
    looked = 0;
    list.unwatched();
    expect(looked, 'a sixtieth while nobody looks').to.equal(7);
    // A clock that says that nine calls cost more than a turn may.
    costPerReading = 3;
    looked = 0;
    list.turn();
    expect(looked).to.equal(9);
  });

  it('forgets calls that have ended', () => {
    calls.set('a', state('a', 1));
    list.compare();
    list.turn();
    expect(list.size).to.equal(1);
    calls.delete('a');
    list.compare();
    expect(list.size).to.equal(0);
  });

  it('forgets them within a round, and meets others, while nobody looks', () => {
    calls.set('a', state('a', 1));
    list.unwatched();
    calls.delete('a');
    for (const callId of ['b', 'c']) calls.set(callId, state(callId, 1));
    for (let turns = 0; turns < 60; turns += 1) list.unwatched();
    expect([...list.all().keys()]).to.deep.equal(['b', 'c']);
  });

  it('meets calls that have taken the place of as many others', () => {
    calls.set('a', state('a', 1));
    list.compare();
    list.turn();
    calls.delete('a');
    calls.set('b', state('b', 1));
    // Their number is what it was, nobody tells of them.
    list.compare();
    for (let turns = 0; turns < 3; turns += 1) list.turn();
    list.compare();
    expect([...list.all().keys()]).to.deep.equal(['b']);
    expect(list.conditions()).to.include({ silent: 1, ringing: 0 });
  });

  it('sums up what it knows at the moment, not what it once knew', () => {
    const reported = (mos: number, packetLossPercent: number) => ({
      ...{ packets: 5, lastPacketMicros: now },
      report: {
        reportedAtSeconds: now / 1e6,
        jitterMs: 3,
        mos,
        roundTripMicros: 1,
        packetLossPercent,
      },
    });
    const heard = { packets: 5, lastPacketMicros: now };
    const round = (): void => {
      list.compare();
      for (let turns = 0; turns < 25; turns += 1) list.turn();
    };
    conditionOf('good', [glance(0, heard), glance(1, reported(43, 1))]);
    conditionOf('bad', [glance(0, heard), glance(1, reported(20, 9))]);
    round();
    expect(list.quality()).to.deep.equal({ worstLossPercent: 9, meanMos: 3.15 });
    now += 2e6;
    glances.set('bad', [glance(0, heard), glance(1, reported(41, 0))]);
    round();
    round();
    expect(list.quality()).to.deep.equal({ worstLossPercent: 1, meanMos: 4.2 });
    calls.delete('good');
    calls.delete('bad');
    round();
    round();
    expect(list.quality()).to.deep.equal({ worstLossPercent: null, meanMos: null });
    expect(Object.values(list.conditions()).every((each) => each === 0)).to.equal(true);
  });

  it('draws a row as its history is by now', () => {
    const heard = (packets: number): StreamGlance[] => [
      glance(0, { packets, lastPacketMicros: now }),
      glance(1, { packets, lastPacketMicros: now }),
    ];
    const points = (): string => list.fresh('call')?.row(now).rate.points ?? '';
    conditionOf('call', heard(0));
    expect(points()).to.equal('-'.repeat(slots));
    now += 6e6;
    glances.set('call', heard(300));
    // 50 a second and stream, of 120 at the top.
    expect(points()).to.match(/^-+p-$/);
    now += 1e6;
    glances.set('call', heard(350));
    expect(points()).to.match(/^-+p-$/);
    now += 5e6;
    glances.set('call', heard(350));
    expect(points()).to.match(/^-+p[^-]-$/);
  });

  it('sorts what is unknown last, either way, and finds in tags', () => {
    const report = (mos: number) => ({
      reportedAtSeconds: now / 1e6,
      jitterMs: 3,
      mos,
      roundTripMicros: 1,
      packetLossPercent: 0,
    });
    const heard = { packets: 5, lastPacketMicros: now };
    conditionOf('good', [glance(0, heard), glance(1, { ...heard, report: report(43) })]);
    conditionOf('bad', [glance(0, heard), glance(1, { ...heard, report: report(21) })]);
    conditionOf('unknown', [glance(0, heard), glance(1, heard)]);
    const order = new Order(() => undefined);
    const ids = (descending: boolean): string[] =>
      (order.of({ ...firstWish, sort: 'mos', descending }, list.all(), 0) ?? []).map(
        ({ callId }) => callId,
      );
    expect(ids(true)).to.deep.equal(['good', 'bad', 'unknown']);
    expect(ids(false)).to.deep.equal(['bad', 'good', 'unknown']);
    const found = order.of({ ...firstWish, search: ' GOOD ' }, list.all(), 0) ?? [];
    expect(found.map(({ callId }) => callId)).to.deep.equal(['good']);
  });
});

const quiet: NodeStatus = {
  ...{ version: '1', uptimeSeconds: 3700, own: 5, foreign: 2, restore: null, drain: null },
  ...{ reload: null, store: 'healthy', kernel: null, takeovers: 0, takenOver: 0 },
  standby: [{ database: 2, waiting: 0, behindMs: 0, lastMs: 1.25 }],
  addresses: [{ address: '192.0.2.1', held: false }],
};

const gauges = {
  ...{ ownSessions: 5, foreignSessions: 2, packetRate: 500, byteRate: 1, errorRate: 0 },
  kernel: { packetRate: 0 },
} as unknown as Gauges;

describe('live page: what happens to the node', () => {
  it('is told once, with how much of it', () => {
    let status = quiet;
    let drops: Record<string, number> = { blocked: 4 };
    const watch = new NodeWatch(
      {
        ...{ name: 'node', status: () => status, gauges: () => gauges, nowMs: () => 1000 },
        drops: () => drops,
      },
      0,
    );
    const quality = { worstLossPercent: null, meanMos: null };
    const pass = (change: Partial<NodeStatus>): readonly string[] => {
      const before = watch.lastEvent;
      status = { ...status, ...change };
      watch.everySecond(1e6, quality);
      return watch.eventsAfter(before).map(({ text }) => text);
    };
    expect(pass({})).to.deep.equal(['rtprelayd 1 has started']);
    expect(pass({})).to.deep.equal([]);
    expect(pass({ takeovers: 2, addresses: [{ address: '192.0.2.1', held: true }] })).to.deep.equal(
      ['took over 2 calls of another node', '192.0.2.1 has come to this node'],
    );
    expect(pass({ takenOver: 1, store: 'degraded' })).to.deep.equal([
      'another node took over a call',
      'Redis is away',
    ]);
    const drain = { calls: 5, left: 4, secondsLeft: 60 };
    expect(pass({ drain })).to.deep.equal(['draining: 4 of 5 calls are left, 60 s at most']);
    expect(watch.statistics(1)?.progress).to.deep.include({
      ...{
        what: 'drain',
        text: 'draining: 4 of 5 calls are left, 60 s at most',
        share: 0.2,
        running: true,
      },
    });
    drops = { blocked: 6, loop: 0 };
    expect(pass({ drain: null })).to.deep.equal(['takes new calls again']);
    expect(watch.statistics(1)?.drops).to.deep.equal([
      { reason: 'blocked', total: 6, perSecond: 2 },
    ]);
  });

  it('is a line for systemctl, and a table for rtprelayctl', () => {
    expect(statusLine(quiet)).to.equal('5 calls, 2 foreign calls');
    const restore = { running: true, restored: 400, expected: 4900, elapsedMs: 200 };
    const drain = { calls: 7, left: 5, secondsLeft: null };
    expect(statusLine({ ...quiet, restore, drain, store: 'degraded' })).to.equal(
      'restoring calls from Redis: 400 of 4,900; draining: 5 of 7 calls are left; 5 calls, 2 foreign calls; Redis is away',
    );
    const reload = { running: false, atMs: 1, lines: ['timeout: 60 => 70'] };
    const text = statusText({ ...quiet, restore: { ...restore, running: false }, reload });
    expect(text).to.include('Version      1, up 1 h 1 min\n');
    expect(text).to.include('Restore      400 calls were restored from Redis in 0.2 s\n');
    expect(text).to.include('Reload       configuration read again: timeout: 60 => 70\n');
    expect(text).to.include('Address      192.0.2.1 is not on this machine\n');
    expect(text).to.include('Standby for  keyspace 2, last change took 1.3 ms\n');
  });

  it('a restore says how far it is, not more often than five times a second', () => {
    let now = 0;
    const told: number[] = [];
    const watch = new RestoreWatch(
      () => now,
      ({ restored }) => told.push(restored),
    );
    expect(watch.status).to.equal(null);
    watch.begin();
    for (let call = 0; call < 100; call += 1) {
      now += 10;
      expect(watch.adopted(call % 10 === 0 ? 'refused' : null)).to.equal(
        call % 10 === 0 ? 'refused' : null,
      );
    }
    expect(told).to.deep.equal([0, 18, 36, 54, 72, 90]);
    watch.expect(120);
    expect(watch.status).to.include({ running: true, restored: 90, expected: 120 });
    watch.end();
    expect(watch.status).to.include({ running: false, restored: 90 });
    now += 5000;
    expect(watch.status).to.deep.equal({
      ...{ running: false, restored: 90, expected: null, elapsedMs: 1000 },
    });
    // Redis is back: more calls come.
    watch.adopted(null);
    expect(watch.status).to.include({ running: true, restored: 91 });
  });
});

describe('live page: wishes', () => {
  it('are read as they are meant, and bounded', () => {
    expect(parseWish(JSON.stringify({ ...firstWish, count: 5000 }))).to.deep.equal({
      ...firstWish,
      count: 100,
    });
    for (const wrong of ['', 'null', '7', '{"sort":"id"}']) expect(parseWish(wrong)).to.equal(null);
    const bad = [
      { sort: 'toString' },
      { filter: 'x' },
      { from: 1.5 },
      { search: 5 },
      { call: 7 },
      { search: 'x'.repeat(2000) },
    ];
    for (const each of bad) {
      expect(parseWish(JSON.stringify({ ...firstWish, ...each })), JSON.stringify(each)).to.equal(
        null,
      );
    }
  });
});
