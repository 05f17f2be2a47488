/** A call model on its own: no sockets, no clock, ports in the order in which they are asked for. */
import { InterfaceTable } from '../../../src/media/interfaces.js';
import { answer, offer } from '../../../src/media/offer-answer.js';
import type { PortAllocator } from '../../../src/media/port-pool.js';
import type { CallState, Media, Participant, Stream } from '../../../src/media/call-state.js';
import type { SignallingContext, SignallingRequest } from '../../../src/media/signalling.js';
import { readRequest } from '../../../src/ng-protocol/interpret.js';

export const interfaces = new InterfaceTable([
  {
    name: 'lo',
    addresses: [
      { family: 'IP4', address: '127.0.0.1', advertised: '127.0.0.1' },
      { family: 'IP6', address: '::1', advertised: '::1' },
    ],
  },
  {
    name: 'ext',
    addresses: [{ family: 'IP4', address: '127.0.0.1', advertised: '203.0.113.5' }],
  },
]);

/** Hands out 40000, 40002, … */
class CountingPorts implements PortAllocator {
  #next = 40_000;

  isUsed(_localAddress: string, port: number): boolean {
    return port >= 40_000 && port < this.#next;
  }

  allocate(_localAddress: string, count: number): number {
    const first = this.#next;
    this.#next += count + (count % 2);
    return first;
  }
}

import { testIdentity } from '../dtls-identity.js';

export type Keys = Partial<SignallingRequest>;

/** A request that asks for nothing. */
export const plainRequest = readRequest('offer', new Map());

/** With nothing in it that can be changed. */
function published(state: CallState): CallState {
  const { participants, medias, streams, sockets, endpointMaps } = state;
  for (const list of [participants, medias, streams, sockets, endpointMaps]) {
    for (const entity of list) {
      for (const value of Object.values(entity)) if (Array.isArray(value)) Object.freeze(value);
      Object.freeze(entity);
    }
    Object.freeze(list);
  }
  return Object.freeze(state);
}

/** One call and what is said about it. */
export class ModelCall {
  state: CallState | null = null;
  /** Whoever changes a state that was published throws. */
  freezes = false;
  /** Of the last request. */
  warnings: readonly string[] = [];
  readonly context: SignallingContext;

  constructor(context: Partial<SignallingContext> = {}) {
    this.context = {
      nowMicros: 1_000_000,
      controlClient: '127.0.0.1:5060',
      controlAddress: '127.0.0.1',
      interfaces,
      ports: new CountingPorts(),
      instanceId: '0123456789ab',
      softwareId: 'rtprelayd-test',
      endpointLearning: 'heuristic',
      tos: 0,
      sipSource: false,
      rejectInvalidSdp: false,
      redisHostedDb: 0,
      dtlsIdentity: () => testIdentity,
      dtlsPassive: false,
      ...context,
    };
  }

  /** Body for the other side. */
  offer(sdp: string, keys: Keys = {}): string {
    return this.#take(offer, { ...plainRequest, callId: 'call', fromTag: 'a', sdp, ...keys });
  }

  answer(sdp: string, keys: Keys = {}): string {
    const tags = { callId: 'call', fromTag: 'a', toTag: 'x' };
    return this.#take(answer, { ...plainRequest, ...tags, sdp, ...keys });
  }

  #take(operation: typeof offer, request: SignallingRequest): string {
    const result = operation(this.state, request, this.context);
    const state = result.state ?? this.state;
    this.state = state !== null && this.freezes ? published(state) : state;
    this.warnings = result.warnings;
    return result.sdp ?? '';
  }

  participant(tag: string | null): Participant {
    const found = this.state?.participants.find((each) => each.tag === tag);
    if (found === undefined) throw new Error(`no participant ${tag}`);
    return found;
  }

  media(tag: string | null, index = 1): Media {
    const { id } = this.participant(tag);
    const found = this.state?.medias.find(
      (media) => media.participantId === id && media.index === index,
    );
    if (found === undefined) throw new Error(`no media ${index} of ${tag}`);
    return found;
  }

  stream(tag: string | null, component: 1 | 2 = 1): Stream {
    const media = this.media(tag);
    const found = this.state?.streams.find(
      (stream) => stream.mediaId === media.id && stream.component === component,
    );
    if (found === undefined) throw new Error(`no stream of ${tag}`);
    return found;
  }

  /** Tags of those whom `tag` hears, the one it heard of last first. */
  heardBy(tag: string | null): readonly (string | null)[] {
    return this.media(tag).subscriptions.map(({ mediaId }) => {
      const media = this.state?.medias.find(({ id }) => id === mediaId);
      return this.state?.participants.find(({ id }) => id === media?.participantId)?.tag ?? null;
    });
  }
}

export const portOf = (sdp: string): number => Number(/m=\w+ (\d+)/.exec(sdp)?.[1]);

/** Lines of a body without the order of attributes: what counts for a proxy. */
export const linesOf = (sdp: string): readonly string[] => sdp.split('\r\n').slice(0, -1);

/** A plain body with one section. */
export function body(port: number, lines: readonly string[] = [], address = '192.0.2.10'): string {
  const all = [
    'v=0',
    `o=ann 7001 3 IN IP4 ${address}`,
    's=call one',
    `c=IN IP4 ${address}`,
    't=0 0',
    `m=audio ${port} RTP/AVP 0 8 101`,
    'a=rtpmap:101 telephone-event/8000',
    'a=fmtp:101 0-15',
    ...lines,
  ];
  return `${all.join('\r\n')}\r\n`;
}
