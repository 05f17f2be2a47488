/** Calls of every kind that a daemon stores, made by NG commands, and how they look from outside. */
import { expect } from 'chai';
import type { NgDictionary } from './bencode.js';
import type { NgClient, Reply } from './ng-client.js';
import { audio, buildSdp, video, type MediaSection } from './sdp.js';

export type Step = NgDictionary;

const body = (...media: readonly MediaSection[]): string =>
  buildSdp({ origin: '127.0.0.1', address: '127.0.0.1', media });

const offer = (callId: string, sdp: string, more: NgDictionary = {}): Step => ({
  command: 'offer',
  'call-id': callId,
  'from-tag': `${callId}-a`,
  sdp,
  ...more,
});
const answer = (callId: string, sdp: string, more: NgDictionary = {}): Step => ({
  ...offer(callId, sdp),
  command: 'answer',
  'to-tag': `${callId}-b`,
  ...more,
});

/**
 * The commands of each call, by call-id. Its tags begin with the call-id.
 * @param port first of a hundred ports that nobody uses.
 */
export function storedDialogues(port: number): ReadonlyMap<string, readonly Step[]> {
  const at = (offset: number): number => port + offset;
  const calls: Readonly<Record<string, (callId: string) => readonly Step[]>> = {
    plain: (id) => [offer(id, body(audio(at(0)))), answer(id, body(audio(at(2))))],
    early: (id) => [offer(id, body(audio(at(4))), { 'via-branch': 'z9hG4bK1', label: 'ann' })],
    'two "sections" %': (id) => [
      offer(id, body(audio(at(8)), video(at(10)))),
      answer(id, body(audio(at(12)), video(at(14)))),
    ],
    refused: (id) => [
      offer(id, body(audio(at(16)), video(at(18)))),
      answer(id, body(audio(at(20)), video(0))),
    ],
    held: (id) => [
      offer(id, body(audio(at(24)))),
      answer(id, body(audio(at(26)))),
      offer(id, body(audio(at(24), ['a=sendonly'])), { 'to-tag': `${id}-b` }),
      answer(id, body(audio(at(26), ['a=recvonly']))),
    ],
    forked: (id) => [
      offer(id, body(audio(at(32))), { 'via-branch': 'b1' }),
      offer(id, body(audio(at(32))), { 'via-branch': 'b2' }),
      answer(id, body(audio(at(34))), { 'via-branch': 'b1', 'to-tag': `${id}-x` }),
      answer(id, body(audio(at(36))), { 'via-branch': 'b2', 'to-tag': `${id}-y` }),
    ],
    blocked: (id) => [
      offer(id, body(audio(at(40)))),
      answer(id, body(audio(at(42)))),
      { command: 'block media', 'call-id': id, 'from-tag': `${id}-a` },
      // 10.5 and 12.5 store what is blocked with the next change.
      offer(id, body(audio(at(40))), { 'to-tag': `${id}-b` }),
      answer(id, body(audio(at(42)))),
    ],
    'port count': (id) => [
      offer(id, pairs(body(audio(at(48))), at(48))),
      answer(id, pairs(body(audio(at(52))), at(52))),
    ],
    mux: (id) => [
      offer(id, body(audio(at(56), ['a=rtcp-mux'])), { 'rtcp-mux': ['offer'] }),
      answer(id, body(audio(at(58), ['a=rtcp-mux']))),
    ],
  };
  return new Map(Object.entries(calls).map(([id, stepsOf]) => [id, stepsOf(id)]));
}

/** `m=audio P/2` (RFC 8866 §5.14). */
function pairs(sdp: string, port: number): string {
  return sdp.replace(`m=audio ${port} `, `m=audio ${port}/2 `);
}

/** Sends the commands; each has to succeed. Returns the last reply of each call. */
export async function makeDialogues(
  ng: NgClient,
  calls: ReadonlyMap<string, readonly Step[]>,
): Promise<ReadonlyMap<string, Reply>> {
  const last = new Map<string, Reply>();
  for (const [callId, steps] of calls) {
    for (const step of steps) {
      const reply = await ng.request(step);
      expect(reply, `${String(step['command'])} of ${callId}`).to.include({ result: 'ok' });
      last.set(callId, reply);
    }
  }
  return last;
}

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields => (value instanceof Object ? (value as Fields) : {});
const listOf = (value: unknown): readonly Fields[] =>
  Array.isArray(value) ? value.map(fieldsOf) : [];

/** `tag, local port, remote endpoint` of each stream that has a remote side, as `query` tells them. */
export async function streamsOf(ng: NgClient, callId: string): Promise<readonly string[]> {
  const reply = await ng.request({ command: 'query', 'call-id': callId });
  expect(reply, callId).to.include({ result: 'ok' });
  const streams: string[] = [];
  for (const [tag, participant] of Object.entries(fieldsOf(reply['tags']))) {
    for (const media of listOf(fieldsOf(participant)['medias'])) {
      for (const stream of listOf(media['streams'])) {
        const { address, port } = fieldsOf(stream['endpoint']);
        // A refused section has none in 12.5, and port 0 and 1 in 10.5.
        if (Number(port ?? 0) < 2) continue;
        streams.push(`${tag} ${String(stream['local port'])} ${String(address)}:${String(port)}`);
      }
    }
  }
  return streams.sort();
}
