/** Words of an offer or answer that change nothing where there is one side only: publishing and subscribing. */
import type { RequestFlag } from './flags.js';
import { noteIdle, noteUnsupported } from './notes.js';
import type { ReadRequest } from './interpret.js';
import { requestKeys, type RequestFields } from './request-table.js';

type OneSided = 'publish' | 'subscribe request' | 'subscribe answer';

interface IdleWords {
  readonly fields: readonly (keyof RequestFields)[];
  readonly flags: readonly RequestFlag[];
}

/** They are about the address that packets come from: of the answer. */
const aboutSources: readonly RequestFlag[] = [
  ...(['asymmetric', 'strict-source', 'media-handover', 'unidirectional'] as const),
  ...(['pierce-nat', 'nat-wait', 'trust-address', 'sip-source-address'] as const),
];
const aboutPorts: readonly RequestFlag[] = ['port-latching', 'no-port-latching'];
const aboutBodies: readonly RequestFlag[] = [
  ...(['loop-protect', 'no-rtcp-attribute', 'full-rtcp-attribute', 'original-sendrecv'] as const),
  'generate-mid',
];

const idle: Readonly<Record<OneSided, IdleWords>> = {
  publish: {
    fields: [
      ...(['toTag', 'viaBranch', 'toInterface', 'replace', 'rtcpMux'] as const),
      ...(['transportProtocol', 'sdes', 'opportunistic', 'addressFamily'] as const),
      // Both are the publisher's choice.
      'dtlsFingerprint',
    ],
    flags: [
      'trickle-ice',
      ...aboutPorts,
      ...([
        'single-codec',
        'reuse-codecs',
        'static-codecs',
        'recrypt',
        'original-sendrecv',
      ] as const),
      ...(['generate-mid', 'block-dtmf', 'allow-no-codec-media'] as const),
    ],
  },
  'subscribe request': {
    fields: [
      ...(['sdp', 'viaBranch', 'metadata', 'toInterface', 'receivedFrom'] as const),
      ...(['endpointLearning', 'tos', 'dropTraffic', 'toLabel'] as const),
    ],
    flags: [
      ...aboutSources,
      ...aboutPorts,
      ...(['original-sendrecv', 'recrypt', 'block-dtmf', 'reuse-codecs', 'static-codecs'] as const),
    ],
  },
  'subscribe answer': {
    fields: [
      ...(['fromTag', 'viaBranch', 'label', 'setLabel', 'metadata', 'fromInterface'] as const),
      ...(['toInterface', 'replace', 'rtcpMux', 'transportProtocol', 'addressFamily'] as const),
      ...(['mediaAddress', 'tos', 'dropTraffic', 'opportunistic'] as const),
    ],
    flags: [
      ...aboutPorts,
      ...aboutBodies,
      'single-codec',
      'reuse-codecs',
      'static-codecs',
      'recrypt',
      'allow-no-codec-media',
    ],
  },
};

/** Notes what is said and changes nothing; to be called once all keys have been read. */
export function noteIdleWords(request: ReadRequest & { readonly command: OneSided }): void {
  // There is one side, however it is named.
  request.dtls ??= request.dtlsReverse;
  if (request.command === 'subscribe request' && request.dtls !== null && request.dtls !== 'off') {
    // The offer leaves it to the subscriber.
    noteIdle(request, `DTLS=${request.dtls}`);
  }
  // Candidates alone are taken for the parties of offers and answers.
  if (request.flags.has('fragment')) noteUnsupported(request, `fragment in a '${request.command}'`);
  const { fields, flags } = idle[request.command];
  for (const field of fields) {
    const { names, empty } = requestKeys[field];
    if (request[field] !== empty) noteIdle(request, names[0] ?? field);
  }
  if (request.command === 'publish' && (request.edits?.extensions ?? null) !== null) {
    noteIdle(request, 'extmap');
  }
  for (const flag of flags) if (request.flags.has(flag)) noteIdle(request, flag);
}
