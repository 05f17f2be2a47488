/**
 * Holds that nobody answers: who is sent what stays as it was, in the plan (sockets and kernel follow it), in the plan that
 * is made from the one before, and in that of a call restored from the store.
 */
import { expect } from 'chai';
import type { CallState } from '../../../src/media/call-state.js';
import { directionInUse } from '../../../src/media/media-attributes.js';
import { PlanMemory } from '../../../src/media/plan-memory.js';
import { mediaPlan } from '../../../src/media/plan.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { body, interfaces, ModelCall, type Keys } from '../../support/unit/media.js';
import { settings } from '../../support/unit/redis-store.js';

const planSettings = { measureRtp: false, rtcpIntervalMs: 5000, tellsDigits: false };

const routesOf = (state: CallState): readonly string[] =>
  mediaPlan(state, interfaces).routes.map(
    ({ fromStream, toStream, kind }) => `${fromStream} ${kind} ${toStream}`,
  );

/** Of the state itself; what comes otherwise by another way is a failure. */
function routesBy(memory: PlanMemory, state: CallState | null): readonly string[] {
  if (state === null) throw new Error('no call');
  const own = routesOf(state);
  const { routes: remembered } = memory.plan(state);
  expect(remembered).to.have.length(own.length);
  const formats = ['JSON', 'JSON-10.5', 'JSON-12.5'] as const;
  for (const format of formats) {
    const { state: restored } = decodeCall('call', encodeCall(state, format, settings), settings);
    expect(routesOf(restored), format).to.have.members(own);
  }
  return own;
}

const directions = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const;
const fromA = (direction: string): string => body(6000, [`a=${direction}`]);
const fromX = (direction: string): string => body(7000, [`a=${direction}`], '192.0.2.77');
const back: Keys = { fromTag: 'x', toTag: 'a' };

describe('a hold that is offered', () => {
  for (const agreed of directions) {
    for (const offered of directions) {
      for (const by of ['a', 'x'] as const) {
        it(`${offered} by ${by} after ${agreed}: takes nothing away before it is answered`, () => {
          const call = new ModelCall();
          const memory = new PlanMemory(interfaces, planSettings);
          const routes = (): readonly string[] => routesBy(memory, call.state);
          const offer = (direction: string): string =>
            by === 'a'
              ? call.offer(fromA(direction), { toTag: 'x' })
              : call.offer(fromX(direction), back);
          const answer = (direction: string): string =>
            by === 'a' ? call.answer(fromX(direction)) : call.answer(fromA(direction), back);
          call.offer(fromA('sendrecv'));
          call.answer(fromX(agreed));
          const before = routes();
          offer(offered);
          expect(routes()).to.include.members([...before]);
          // Refused, and the phone goes on as before.
          offer(agreed === 'sendrecv' ? 'sendrecv' : 'inactive');
          expect(routes()).to.have.members([...before]);
          offer(offered);
          answer(
            offered === 'sendonly' ? 'recvonly' : offered === 'recvonly' ? 'sendonly' : offered,
          );
          for (const media of call.state?.medias ?? []) {
            expect(directionInUse(media)).to.equal(media.direction);
          }
          const rtp = routes().filter((route) => route.includes(' rtp ')).length;
          expect(rtp).to.equal({ sendrecv: 2, sendonly: 1, recvonly: 1, inactive: 0 }[offered]);
        });
      }
    }
  }
});
