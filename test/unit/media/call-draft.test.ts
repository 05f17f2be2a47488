import { expect } from 'chai';
import {
  isSameEndpointMap,
  isSameMedia,
  isSameParticipant,
  isSameSocket,
  isSameStream,
} from '../../../src/media/call-change.js';
import type { CallState } from '../../../src/media/call-state.js';
import { withoutParticipant } from '../../../src/media/removal.js';
import { body, ModelCall } from '../../support/unit/media.js';

/** A call that rings at so many phones; each has answered. */
function forked(branches: number): ModelCall {
  const call = new ModelCall();
  call.freezes = true;
  for (let at = 0; at < branches; at += 1) ring(call, at);
  return call;
}

function ring(call: ModelCall, at: number): void {
  const viaBranch = `z9hG4bK${at}`;
  call.offer(body(6000), { viaBranch });
  call.answer(body(7000 + 2 * at), { toTag: `x${at}`, viaBranch });
}

const kinds = ['participants', 'medias', 'streams', 'sockets', 'endpointMaps'] as const;

/** Entities of `state` that are not those of `before`. */
const changed = (state: CallState, before: CallState): number =>
  kinds
    .flatMap((kind) => state[kind].filter((entity, at) => entity !== before[kind][at]))
    .filter((entity) => entity !== undefined).length;

describe('a call under change', () => {
  it('shares with the state before what a command does not concern, however much there is', () => {
    const perBranch = [10, 100].map((branches) => {
      const call = forked(branches);
      const before = call.state;
      ring(call, branches);
      if (before === null || call.state === null) throw new Error('no call');
      return changed(call.state, before);
    });
    expect(perBranch[0]).to.be.above(0);
    expect(perBranch[1]).to.equal(perBranch[0]);
  });

  it('shares codecs with other calls whose bodies say the same of them', () => {
    const codecsOf = (lines: readonly string[]): unknown => {
      const call = new ModelCall();
      call.offer(body(6000, lines));
      call.answer(body(7000, lines), { toTag: 'x' });
      expect(call.media('a').offered).to.equal(call.media('x').codecs);
      return call.media('x').codecs;
    };
    const plain = codecsOf([]);
    expect(codecsOf([])).to.equal(plain);
    expect(codecsOf(['a=ptime:30'])).to.not.equal(plain);
    expect(codecsOf(['a=rtpmap:101 telephone-event/16000'])).to.not.deep.equal(plain);
    expect(codecsOf(['a=fmtp:0 annexb=no'])).to.not.deep.equal(plain);
    // Whoever sends a thousand lists does not change what one of them means.
    const all = Array.from({ length: 1000 }, (_, at) => codecsOf([`a=fmtp:0 x=${at}`]));
    expect(new Set(all.map((codecs) => JSON.stringify(codecs)))).to.have.property('size', 1000);
    expect(codecsOf([])).to.deep.equal(plain);
  });

  it('leaves the state before as it was', () => {
    const call = forked(4);
    const hold = body(6000, ['a=inactive'], '0.0.0.0');
    call.offer(hold, { toTag: 'x2' });
    call.answer(body(7004), { toTag: 'x2' });
    call.offer(body(9000), { fromTag: 'x1', toTag: 'a' });
    call.answer(body(6002), { fromTag: 'x1', toTag: 'a' });
    call.offer(`${body(6000)}m=video 6100 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n`, {
      toTag: 'x3',
    });
    call.answer(`${body(7006)}m=video 0 RTP/AVP 96\r\n`, { toTag: 'x3' });
    if (call.state === null) throw new Error('no call');
    const left = withoutParticipant(call.state, call.participant('x1').id);
    expect(changed(left, call.state)).to.be.above(0);
  });

  it('gives back what comes out as it was', () => {
    const call = forked(3);
    const before = call.state;
    call.offer('', { viaBranch: 'z9hG4bK1' });
    if (before === null || call.state === null) throw new Error('no call');
    expect(changed(call.state, before)).to.be.below(3);
  });

  it('compares every member of two entities, and lists by what is in them', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    call.answer(body(7000), { toTag: 'x' });
    if (call.state === null) throw new Error('no call');
    const { participants, medias, streams, sockets, endpointMaps } = call.state;
    compares(participants[0], isSameParticipant);
    compares(medias[0], isSameMedia);
    compares(streams[0], isSameStream);
    compares(sockets[0], isSameSocket);
    compares(endpointMaps[0], isSameEndpointMap);
  });
});

/** Of whatever kind: all of its members count. */
function compares<E extends { readonly id: number }>(
  entity: E | undefined,
  isSame: (one: E, other: E) => boolean,
): void {
  if (entity === undefined) throw new Error('there is no such entity');
  const other = Symbol('another value');
  expect(isSame({ ...entity }, entity)).to.equal(true);
  for (const [name, value] of Object.entries(entity)) {
    expect(isSame({ ...entity, [name]: other }, entity), name).to.equal(false);
    if (!Array.isArray(value)) continue;
    expect(isSame({ ...entity, [name]: [...(value as unknown[])] }, entity), name).to.equal(true);
    expect(isSame({ ...entity, [name]: [...(value as unknown[]), 1] }, entity), name).to.equal(
      false,
    );
  }
}
