/** What a delete takes away (as observed with rtpengine 10.5). */
import { expect } from 'chai';
import {
  deleteTarget,
  withoutParticipant,
  type DeleteRequest,
} from '../../../src/media/removal.js';
import { body, ModelCall } from '../../support/unit/media.js';

const called = (port: number): string => body(port, [], '192.0.2.77');

function pair(): ModelCall {
  const call = new ModelCall();
  call.offer(body(6000));
  call.answer(called(7000));
  return call;
}

function twoBranches(answered: boolean): ModelCall {
  const call = new ModelCall();
  call.offer(body(6000), { viaBranch: 'b1' });
  call.offer(body(6000), { viaBranch: 'b2' });
  if (answered) {
    call.answer(called(7000), { viaBranch: 'b1', toTag: 'x' });
    call.answer(called(7200), { viaBranch: 'b2', toTag: 'y' });
  }
  return call;
}

/** One of two answered branches has been deleted already. */
function oneBranchLeft(): ModelCall {
  const call = twoBranches(true);
  if (call.state === null) throw new Error('no call');
  const gone = deleteTarget(call.state, { fromTag: 'x', toTag: null, viaBranch: null });
  if (gone.kind !== 'participant') throw new Error(`${gone.kind} is gone`);
  call.state = withoutParticipant(call.state, gone.participant.id);
  return call;
}

function target(call: ModelCall, request: Partial<DeleteRequest>): string {
  if (call.state === null) throw new Error('no call');
  const all = { fromTag: null, toTag: null, viaBranch: null, ...request };
  const found = deleteTarget(call.state, all);
  if (found.kind !== 'participant') return found.kind;
  return found.participant.tag ?? `branch ${found.participant.viaBranch}`;
}

describe('a delete', () => {
  const ofPair: readonly (readonly [Partial<DeleteRequest>, string])[] = [
    [{ fromTag: 'a' }, 'call'],
    [{ fromTag: 'x' }, 'call'],
    [{ fromTag: 'a', toTag: 'x' }, 'call'],
    [{ fromTag: 'x', toTag: 'a' }, 'call'],
    [{}, 'call'],
    [{ toTag: 'q' }, 'call'],
    [{ fromTag: 'q' }, 'none'],
    [{ fromTag: 'a', toTag: 'q' }, 'none'],
  ];
  for (const [request, expected] of ofPair) {
    it(`of a plain call by ${JSON.stringify(request)}: ${expected}`, () => {
      expect(target(pair(), request)).to.equal(expected);
    });
  }

  const ofOneLeft: readonly (readonly [Partial<DeleteRequest>, string])[] = [
    [{ fromTag: 'x' }, 'none'],
    [{ fromTag: 'a', toTag: 'x' }, 'none'],
    [{ fromTag: 'x', toTag: 'a' }, 'call'],
    [{ fromTag: 'a', viaBranch: 'b1' }, 'x'],
    [{ fromTag: 'y' }, 'call'],
  ];
  for (const [request, expected] of ofOneLeft) {
    it(`of a call one branch of which has gone by ${JSON.stringify(request)}: ${expected}`, () => {
      expect(target(oneBranchLeft(), request)).to.equal(expected);
    });
  }

  const ofBranches: readonly (readonly [Partial<DeleteRequest>, string])[] = [
    [{ fromTag: 'a' }, 'call'],
    [{ fromTag: 'a', toTag: 'x' }, 'x'],
    [{ fromTag: 'a', toTag: 'x', viaBranch: 'b2' }, 'x'],
    [{ fromTag: 'x' }, 'x'],
    [{ fromTag: 'a', viaBranch: 'b1' }, 'x'],
    [{ fromTag: 'q', viaBranch: 'b1' }, 'x'],
    [{ fromTag: 'a', viaBranch: 'b2' }, 'y'],
    [{ fromTag: 'a', viaBranch: 'b9' }, 'call'],
    [{ fromTag: 'a', toTag: 'q' }, 'none'],
    [{ viaBranch: 'b1' }, 'call'],
  ];
  for (const [request, expected] of ofBranches) {
    it(`of two answered branches by ${JSON.stringify(request)}: ${expected}`, () => {
      expect(target(twoBranches(true), request)).to.equal(expected);
    });
  }

  it('of an early branch takes that branch', () => {
    expect(target(twoBranches(false), { fromTag: 'a', viaBranch: 'b1' })).to.equal('branch b1');
    expect(target(twoBranches(false), { fromTag: 'a' })).to.equal('call');
  });

  it('of a branch gives its ports up and keeps its record', () => {
    const call = twoBranches(true);
    if (call.state === null) throw new Error('no call');
    const gone = call.participant('x');
    const after = withoutParticipant(call.state, gone.id);
    const streams = after.streams.filter(({ mediaId }) => gone.medias.includes(mediaId));
    const ids = new Set(streams.map(({ id }) => id));
    const open = after.sockets.filter(({ streamId }) => ids.has(streamId)).map((each) => each.open);
    expect(open).to.deep.equal([false, false]);
    expect(after.participants).to.have.lengthOf(3);
    expect(after.participants[0]?.associated).to.not.include(gone.id);
  });
});
