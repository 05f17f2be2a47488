/** Media blocked for some of those who hear it (ng-protocol.md §3.9). */
import { expect } from 'chai';
import { mediaPlan } from '../../../src/media/plan.js';
import {
  describeRestriction,
  restricted,
  type Restriction,
} from '../../../src/media/restriction.js';
import type { CallState } from '../../../src/media/call-state.js';
import { parseRequest } from '../../../src/ng-protocol/commands.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { dictionary, type Plain } from '../../support/unit/ng-protocol.js';
import { settings } from '../../support/unit/redis-store.js';
import { body, interfaces, ModelCall } from '../../support/unit/media.js';

type Keys = Readonly<Record<string, Plain>>;

function request(command: string, keys: Keys): Restriction {
  const parsed = parseRequest(command, dictionary({ 'call-id': 'call', ...keys }));
  if (parsed.command !== 'block media' && parsed.command !== 'unblock media') {
    throw new Error('no block');
  }
  return parsed;
}

/** Branches x and y of a, both answered, and both hear it. */
function forked(): CallState {
  const call = new ModelCall();
  call.offer(body(6000), { viaBranch: 'b1' });
  call.offer(body(6000), { viaBranch: 'b2' });
  call.answer(body(7000, [], '192.0.2.77'), { viaBranch: 'b1', label: 'first' });
  call.answer(body(7100, [], '192.0.2.78'), { viaBranch: 'b2', toTag: 'y' });
  if (call.state === null) throw new Error('no call');
  call.media('x').subscriptions = call.media('y').subscriptions;
  return call.state;
}

const after = (state: CallState, ...commands: readonly (readonly [string, Keys])[]): CallState =>
  commands.reduce((now, [command, keys]) => restricted(now, request(command, keys)), state);

/** `a>x` for each way of RTP, `(a)` in front of a stream of which nothing but DTMF goes on. */
function ways(state: CallState): readonly string[] {
  const plan = mediaPlan(state, interfaces);
  const tagOf = (streamId: number): string => {
    const stream = state.streams.find(({ id }) => id === streamId);
    const media = state.medias.find(({ id }) => id === stream?.mediaId);
    return state.participants.find(({ id }) => id === media?.participantId)?.tag ?? '';
  };
  return plan.routes
    .filter(({ kind }) => kind === 'rtp')
    .map(({ fromStream, toStream }) => {
      const payloads = plan.streams.find(({ id }) => id === fromStream)?.payloads ?? null;
      const from = tagOf(fromStream);
      return `${payloads === null ? from : `(${from})`}>${tagOf(toStream)}`;
    })
    .toSorted();
}

const everything = ['a>x', 'a>y', 'x>a', 'y>a'];

describe('a block of flows', () => {
  it('keeps media from one of those who hear it', () => {
    const state = after(forked(), ['block media', { 'from-tag': 'a', 'to-tag': 'x' }]);
    expect(ways(forked())).to.deep.equal(everything);
    expect(ways(state)).to.deep.equal(['a>y', 'x>a', 'y>a']);
    const other = after(forked(), ['block media', { 'from-tag': 'a', 'to-label': 'first' }]);
    expect(ways(other)).to.deep.equal(ways(state));
    expect(ways(after(state, ['unblock media', { 'from-tag': 'a', 'to-tag': 'x' }]))).to.deep.equal(
      everything,
    );
  });

  it('is one of the call where nobody is named whom they come from', () => {
    const all = ways(after(forked(), ['block media', {}]));
    for (const keys of [{ 'to-tag': 'x' }, { 'to-tag': 'q' }, { 'to-label': 'first' }])
      expect(ways(after(forked(), ['block media', keys]))).to.deep.equal(all);
  });

  it('of all flows leaves DTMF, as a block of the sender does', () => {
    const state = after(forked(), ['block media', { 'from-tag': 'a', all: 'flows' }]);
    expect(ways(state)).to.deep.equal(['(a)>x', '(a)>y', 'x>a', 'y>a']);
    const two = after(
      forked(),
      ['block media', { 'from-tag': 'a', 'to-tag': 'x' }],
      ['block media', { 'from-tag': 'a', 'to-tag': 'y' }],
    );
    expect(ways(two)).to.deep.equal(ways(state));
  });

  it('chooses by kind: who offered and answered, or who subscribed', () => {
    const mixed = forked();
    const y = mixed.participants.find(({ tag }) => tag === 'y');
    const first = mixed.medias.find(({ participantId }) => participantId === y?.id);
    if (first === undefined) throw new Error('no media');
    first.subscriptions = first.subscriptions.map((each) => ({ ...each, offerAnswer: false }));
    const dialogues = after(mixed, ['block media', { all: 'offer-answer' }]);
    const others = after(mixed, ['block media', { all: 'non-offer-answer' }]);
    expect(ways(dialogues)).to.deep.equal(['(x)>a', '(y)>a', 'a>y']);
    expect(ways(others)).to.deep.equal(['a>x', 'x>a', 'y>a']);
  });

  it('ends with the block of everybody, not with that of a participant', () => {
    const state = after(forked(), ['block media', { 'from-tag': 'a', 'to-tag': 'x' }]);
    expect(ways(after(state, ['unblock media', { 'from-tag': 'a' }]))).to.deep.equal(ways(state));
    expect(ways(after(state, ['unblock media', { all: 'all' }]))).to.deep.equal(everything);
  });

  it('is stored', () => {
    const state = after(forked(), ['block media', { 'from-tag': 'a', 'to-tag': 'x' }]);
    for (const format of ['JSON', 'bencode', 'JSON-10.5', 'JSON-12.5'] as const) {
      const read = decodeCall('call', encodeCall(state, format, settings), settings).state;
      expect(ways(read), format).to.deep.equal(ways(state));
    }
  });

  it('says whom it cannot find', () => {
    for (const [keys, text] of [
      [{ 'from-tag': 'a', 'to-tag': 'q' }, 'Media flow not found (to-tag not found)'],
      [{ 'from-tag': 'a', 'to-label': 'q' }, 'Media flow not found (to-label not found)'],
      [{ 'from-tag': 'x', 'to-tag': 'y' }, 'Media flow not found (to-tag not subscribed)'],
      [{ 'from-tag': 'a', all: 'except-offer-answer' }, 'No eligible media subscriptions found'],
    ] as const) {
      expect(() => restricted(forked(), request('block media', keys))).to.throw(text);
    }
  });

  it('is logged with the number of its flows', () => {
    const text = describeRestriction(forked(), request('block media', { all: 'flows' }));
    expect(text).to.equal('Blocking media (entire call, 4 flows)');
  });

  it('is of media alone: elsewhere the log says that a to-tag counts for nothing', () => {
    const parsed = parseRequest(
      'silence media',
      dictionary({ 'call-id': 'call', 'from-tag': 'a', 'to-tag': 'x' }),
    );
    expect(parsed.unsupported).to.deep.equal(["to-tag in 'silence media'"]);
  });
});
