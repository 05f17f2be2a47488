import { expect } from 'chai';
import { encodeBencode } from '../../../src/ng-protocol/bencode.js';
import type { NgDictionary } from '../../../src/ng-protocol/dictionary.js';
import { shorterReply } from '../../../src/observe/shorter-reply.js';
import { dictionary, type Plain } from '../../support/unit/ng-protocol.js';

const excessOver =
  (bytes: number) =>
  (reply: NgDictionary): number =>
    encodeBencode(reply).length - bytes;

/** Back to what is easily compared. */
function plain(value: unknown): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, member]) => [String(key), plain(member)]));
  }
  return Array.isArray(value) ? value.map(plain) : value;
}

function shortened(reply: NgDictionary, bytes: number): Record<string, unknown> | null {
  const shorter = shorterReply(reply, excessOver(bytes));
  if (shorter === null) return null;
  expect(encodeBencode(shorter).length).to.be.at.most(bytes);
  expect([...shorter.keys()].at(-1)).to.equal('result');
  return plain(shorter) as Record<string, unknown>;
}

const stream = (port: number): Plain => ({
  'local port': port,
  'local address': '192.0.2.1',
  endpoint: { family: 'IPv4', address: '192.0.2.7', port },
  flags: ['RTP', 'filled', 'confirmed'],
  SSRC: port,
  stats: { packets: 1, bytes: 2, errors: 3 },
});

function callReply(participants: number, streams: number, ssrcs: number): NgDictionary {
  const tags: Record<string, Plain> = {};
  for (let i = 0; i < participants; i++) {
    const label = `label ${i}`;
    const medias = Array.from({ length: streams }, (_, at) => ({
      index: at,
      streams: [stream(at)],
    }));
    tags[`tag ${i}`] = { tag: `tag ${i}`, label, medias };
  }
  const SSRC: Record<string, Plain> = {};
  for (let i = 0; i < ssrcs; i++) {
    const entries = Array.from({ length: 20 }, () => ({ MOS: 44, jitter: 1 }));
    SSRC[String(i)] = { 'average MOS': { MOS: 43 }, 'MOS progression': { interval: 5, entries } };
  }
  return dictionary({ created: 7, SSRC, tags, totals: { RTP: { packets: 9 } }, result: 'ok' });
}

describe('a reply that is too long for a datagram', () => {
  it('loses the MOS progressions first, from the last on', () => {
    const reply = callReply(2, 1, 4);
    const whole = encodeBencode(reply).length;
    const shorter = shortened(reply, whole - 400);
    expect(shorter).to.have.property(
      'warning',
      'Reply too long for a datagram, left out: MOS progressions',
    );
    expect(shorter).to.have.nested.property('SSRC.0.MOS progression');
    expect(shorter).to.have.nested.property('SSRC.3.average MOS');
    expect(shorter).not.to.have.nested.property('SSRC.3.MOS progression');
    expect(shorter).to.have.nested.property('tags.tag 1.medias[0].streams[0].flags');
  });

  it('then the details of the streams, but not what MOS reports need', () => {
    const shorter = shortened(callReply(10, 6, 1), 8_000);
    expect(shorter?.['warning']).to.match(/left out: MOS progressions, stream details$/);
    expect(shorter).to.have.nested.property('tags.tag 9.label', 'label 9');
    expect(shorter)
      .to.have.nested.property('tags.tag 9.medias[5].streams[0]')
      .that.deep.equals({
        'local port': 5,
        SSRC: 5,
        stats: { packets: 1, bytes: 2, errors: 3 },
      });
    expect(shorter).to.have.nested.property('SSRC.0.average MOS.MOS', 43);
  });

  it('then medias, participants and SSRCs; the totals stay', () => {
    const reply = callReply(50, 5, 50);
    expect(shortened(reply, 8_000)?.['warning']).to.match(/stream details, medias$/);
    expect(shortened(reply, 3_500)?.['warning']).to.match(/medias, participants$/);
    const least = shortened(reply, 1_000);
    expect(least?.['warning']).to.match(/participants, SSRCs$/);
    expect(least).to.deep.include({ created: 7, tags: {}, totals: { RTP: { packets: 9 } } });
    expect(shortened(reply, 100)).to.equal(null);
  });

  it('loses the last call-ids, no more than needed', () => {
    const calls = Array.from({ length: 1000 }, (_, at) => `call-${at}`);
    const shorter = shortened(dictionary({ calls, result: 'ok' }), 2_000);
    const kept = shorter?.['calls'] as readonly string[];
    expect(kept).to.deep.equal(calls.slice(0, kept.length));
    expect(encodeBencode(new Map([['calls', calls.slice(0, kept.length + 1)]])).length).to.be.above(
      2_000 - 100,
    );
    expect(shorter?.['warning']).to.match(/left out: call-ids$/);
  });

  it('sums up the proxies that ask least', () => {
    const proxies = Array.from({ length: 100 }, (_, at) => ({
      proxy: `192.0.2.${at}`,
      offercount: at,
      offerduration: '0.500000',
      errorcount: 1,
    }));
    const statistics = { controlstatistics: { proxies, totaloffercount: 4950 }, interfaces: [] };
    const shorter = shortened(dictionary({ statistics, result: 'ok' }), 2_000) as {
      statistics: { controlstatistics: { proxies: Record<string, unknown>[] } };
    };
    const shown = shorter.statistics.controlstatistics.proxies;
    expect(shown[0]).to.include({ proxy: '192.0.2.99', offercount: 99 });
    const others = shown.at(-1);
    const summed = 100 - (shown.length - 1);
    expect(others).to.deep.equal({
      proxy: 'others',
      offercount: (summed * (summed - 1)) / 2,
      offerduration: (summed / 2).toFixed(6),
      errorcount: summed,
    });
  });

  it('is not shortened when nobody knows how', () => {
    expect(shortened(dictionary({ sdp: 'x'.repeat(1000), result: 'ok' }), 500)).to.equal(null);
  });
});
