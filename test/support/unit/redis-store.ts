/** Calls and settings for the tests of the store. */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { agreedOf } from '../../../src/media/agreed.js';
import { noExtensions, nothingToResume } from '../../../src/media/call-state.js';
import { digestsOf } from '../../../src/media/dtls/attributes.js';
import { sdesOf } from '../../../src/media/sdes/stored.js';
import { dropDerived } from '../../../src/redis-store/derived.js';
import type {
  AgreedSecurity,
  CallState,
  Codec,
  Endpoint,
  Extensions,
  Media,
  Participant,
  SdpMemory,
  Stream,
  StreamFlag,
} from '../../../src/media/call-state.js';
import type {
  MediaIce,
  MediaSecurity,
  SdesCrypto,
  SrtpKeys,
  MediaBundle,
} from '../../../src/media/media-attributes.js';
import { noBundle } from '../../../src/media/media-attributes.js';
import { decodeBencode, encodeBencode } from '../../../src/ng-protocol/bencode.js';
import {
  mediaFlagTables,
  mediaModesOf,
  streamFlagTables,
  type MediaModes,
} from '../../../src/redis-store/flags.js';
import {
  blockDtmfValues,
  learningValues,
  type CodecSettings,
} from '../../../src/redis-store/schema.js';

export const settings: CodecSettings = {
  bencode: { decode: (bytes) => decodeBencode(bytes), encode: (value) => encodeBencode(value) },
  endpointLearning: 'heuristic',
  indexOfPosition: (_, __, position) => position,
  secrets: null,
};

function samplesIn(folderName: string): ReadonlyMap<string, Buffer> {
  const folder = new URL(folderName, import.meta.url);
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(files.map(({ name }) => [name, readFileSync(new URL(name, folder))]));
}

/** Values recorded from rtpengine 10.5 by name. */
export const samples = samplesIn('../../unit/redis-store/samples/');
/** Values recorded from rtpengine 12.5 (Debian 13), the same scenarios. */
export const samples125 = samplesIn('../../unit/redis-store/samples/12.5/');
/** Values recorded from the current release (26.0.1.26), the same scenarios as JSON and as bencode. */
export const samples260 = samplesIn('../../unit/redis-store/samples/26.0/');
/**
 * Values of ours from before `extraFields.uidByFamily`, by format: a call from 127.0.0.1 to ::1 over
 * `--interface=pub/127.0.0.1 --interface=pub/::1 --interface=pub/127.0.0.2`.
 */
export const formerSamples = samplesIn('../../unit/redis-store/samples/former/');

export function sample(name: string): Buffer {
  const bytes = samples.get(name);
  if (bytes === undefined) throw new Error(`no sample ${name}`);
  return bytes;
}

const byteString = fc
  .uint8Array({ maxLength: 12 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));
/** Encoded in UTF-8 or plain ASCII, and what tends to break encodings. */
const text = fc.oneof(byteString, fc.constantFrom('', 'a b', '%', '%41', 'a%zz', '"\\\'', 'Grüße'));
const port = fc.integer({ min: 1, max: 65535 });
/** Since 2001: the unit of a stored time is told by its size. */
const seconds = fc.integer({ min: 1_000_000_000, max: 4_000_000_000 });
const micros = seconds.map((value) => value * 1_000_000);
const endpoint: fc.Arbitrary<Endpoint | null> = fc.option(
  fc.record({ address: fc.constantFrom('192.0.2.1', '2001:db8::1', '127.0.0.1'), port }),
);
const family = fc.constantFrom('IP4' as const, 'IP6' as const);
const memory: fc.Arbitrary<SdpMemory> = fc.record({
  username: text,
  sessionId: text,
  version: text,
  networkType: text,
  addressType: text,
  address: text,
  sessionName: text,
  timing: text,
  bodyDigest: text,
});
const codec: fc.Arbitrary<Codec> = fc.record({
  payloadType: fc.integer({ min: 0, max: 127 }),
  encoding: fc.constantFrom('PCMA', 'opus', 'telephone-event', ''),
  clockRate: fc.constantFrom(0, 8000, 48000),
  channels: fc.integer({ min: 1, max: 2 }),
  fmtp: fc.constantFrom('', '0-15', 'minptime=10; useinbandfec=1', 'a/b', 'x=%'),
  bitrate: fc.nat(64000),
  ptimeMs: fc.integer({ min: -1, max: 60 }),
});
const carried = fc.dictionary(fc.constantFrom('other-master_key', 'other-mki', 'x-unknown'), text);
const streamFlags: fc.Arbitrary<ReadonlySet<StreamFlag>> = fc
  .subarray([...streamFlagTables.current.names])
  .map((names) => new Set(names));
/** Every bit, and so every mark and mode that has one. */
const mediaModes: fc.Arbitrary<MediaModes> = fc
  .subarray([...mediaFlagTables.current.names])
  .map((names) => mediaModesOf(new Set(names)));
const bytes = (length: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((array) => Buffer.from(array).toString('latin1'));
const keys: fc.Arbitrary<SrtpKeys> = fc
  .constantFrom(
    ['AES_CM_128_HMAC_SHA1_80', 16, 14] as const,
    ['AEAD_AES_256_GCM', 32, 12] as const,
    ['X-UNKNOWN', 32, 14] as const,
  )
  .chain(([suite, key, salt]) =>
    fc.record({
      suite: fc.constant(suite),
      masterKey: bytes(key),
      masterSalt: bytes(salt),
      mki: fc.option(bytes(4)),
      unencryptedRtp: fc.boolean(),
      unencryptedRtcp: fc.boolean(),
      unauthenticatedRtp: fc.boolean(),
    }),
  );
const crypto: fc.Arbitrary<SdesCrypto> = fc
  .tuple(keys, fc.nat(0xffff_ffff), fc.constantFrom(null, '2^31', '1048576'))
  .map(([key, tag, lifetime]) => ({ ...key, tag, lifetime }));
/** Stored with the certificate. */
const association = fc.option(
  fc.record({
    identity: fc.record({ certificate: text, privateKey: text }),
    tlsId: fc.option(fc.constant('t'.repeat(20))),
    digests: fc.constantFrom('', digestsOf(Buffer.of(1))),
    generation: fc.nat(0xffff_ffff),
  }),
);
const security = ({ mode, setup }: MediaModes): fc.Arbitrary<MediaSecurity> =>
  fc
    .record({
      mode: fc.constant(mode),
      setup: fc.constant(setup),
      sdesIn: fc.array(crypto, { maxLength: 3 }),
      sdesOut: fc.array(crypto, { maxLength: 3 }),
      fingerprint: fc.constantFrom(
        null,
        { hash: 'sha-256', digest: 'x'.repeat(32) },
        { hash: 'x-other', digest: 'y'.repeat(64) },
      ),
      association,
    })
    .map(({ association: known, ...rest }) => ({
      ...rest,
      ...(known ?? { identity: null, tlsId: null, generation: 0, digests: '' }),
    }));
const someEndpoint = fc.record({ address: fc.constantFrom('192.0.2.1', '2001:db8::1'), port });
const credentials = fc.option(
  fc.record({ ufrag: fc.constantFrom('Ab+/', 'zz'), pwd: fc.constant('p'.repeat(22)) }),
);
const ice = (marks: MediaIce): fc.Arbitrary<MediaIce> =>
  fc
    .record({
      local: credentials,
      remote: credentials,
      tieBreaker: fc.constantFrom('', '18446744073709551615'),
      remoteCandidates: fc.array(
        fc.record({
          foundation: fc.constantFrom('1', 'a+/'),
          component: fc.integer({ min: 1, max: 2 }),
          priority: fc.nat(0x7fff_ffff),
          type: fc.constantFrom('host' as const, 'srflx' as const, 'prflx' as const),
          endpoint: someEndpoint,
          related: fc.option(someEndpoint),
        }),
        { maxLength: 3 },
      ),
    })
    .map((known) => ({ ...marks, ...known }));

const bundleOf = (medias: number): fc.Arbitrary<MediaBundle> =>
  fc.oneof(
    fc.constant(noBundle),
    fc.record({
      group: fc.nat(3),
      order: fc.nat(5),
      carrier: fc.option(fc.nat(medias - 1)),
      agreed: fc.boolean(),
      ssrcs: fc.array(fc.nat(0xffff_ffff), { maxLength: 3 }),
      // They are stored among the others.
      learned: fc.constant([]),
    }),
  );

const extensions = fc.constantFrom(
  [],
  [
    { id: 4, uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', inUse: true },
    { id: 300, uri: 'urn:x', inUse: false },
  ],
);

const agreed = (medias: number): fc.Arbitrary<AgreedSecurity> =>
  mediaModes.chain((modes) =>
    fc
      .record({
        bundle: bundleOf(medias),
        extensions,
        mid: fc.option(text),
        protocol: fc.constantFrom('RTP/AVP', 'UDP/TLS/RTP/SAVPF'),
        security: security(modes),
        ice: ice(modes.ice),
      })
      .map((each) => {
        const sdes = sdesOf(each.security, each.protocol, null);
        return agreedOf({ ...each, sdes, flags: modes.flags }, { ...each, rtcpMux: modes.rtcpMux });
      }),
  );

const cryptoLines = fc.record({
  tag: fc.nat(1000),
  suite: fc.constant('AES_CM_128_HMAC_SHA1_80' as const),
  key: fc.constantFrom('A'.repeat(40), `${'+/z9'.repeat(10)}`),
  mki: fc.constantFrom(null, { value: '7', length: 4 }),
  unencryptedSrtp: fc.boolean(),
  unencryptedSrtcp: fc.boolean(),
  unauthenticatedSrtp: fc.boolean(),
});

/** As who has read it knows it: of what is sent nothing, since that goes on from somewhere above. */
const formerKeys = fc
  .record({
    kind: fc.constant('SDES' as const),
    line: cryptoLines,
    send: fc.option(cryptoLines),
    passed: fc.boolean(),
    indexes: fc.array(
      fc.record({
        direction: fc.constant('receive' as const),
        ssrc: fc.nat(0xffff_ffff),
        rtp: fc.option(fc.nat(0xffff_ffff)),
        rtcp: fc.option(fc.nat(0xffff)),
        offset: fc.constant(0),
      }),
      { maxLength: 3 },
    ),
  })
  .map((each) => ({ ...each, send: each.passed ? null : each.send }))
  .map((each) => ({ ...each, resume: { receive: each.indexes, send: [] } }));

const associationKeys = fc.constantFrom(...'ab').map((byte) => ({
  ...{ suite: 'AES_CM_128_HMAC_SHA1_80', masterKey: byte.repeat(16), masterSalt: byte.repeat(14) },
  ...{ mki: null, unencryptedRtp: false, unencryptedRtcp: false, unauthenticatedRtp: false },
}));

const associations = fc
  .record({
    name: fc.constant('a0'.repeat(16)),
    keys: fc.array(fc.option(fc.record({ receive: associationKeys, send: associationKeys })), {
      minLength: 1,
      maxLength: 2,
    }),
    before: formerKeys,
  })
  .map(({ before: { indexes, resume }, ...each }) => ({ ...each, indexes, resume }));

const formerAssociations = fc
  .tuple(associations, fc.array(associations, { maxLength: 3 }))
  .map(([last, earlier]) => ({ ...last, kind: 'DTLS' as const, earlier }));

const formers = fc.oneof(formerKeys, formerAssociations, fc.constant({ kind: 'plain' as const }));

function mediaOf(
  id: number,
  participantId: number,
  index: number,
  all: number,
): fc.Arbitrary<Media> {
  return mediaModes
    .chain((modes) =>
      fc.record({
        id: fc.constant(id),
        participantId: fc.constant(participantId),
        index: fc.constant(index),
        type: fc.constantFrom('audio', 'video', 'image'),
        protocol: fc.constantFrom('RTP/AVP', 'UDP/TLS/RTP/SAVPF'),
        formats: text,
        mid: fc.option(text),
        desiredFamily: family,
        logicalInterface: text,
        ptimeMs: fc.nat(60),
        maxPtimeMs: fc.nat(60),
        bandwidth: fc.record({
          as: fc.integer({ min: -1, max: 9999 }),
          rr: fc.integer({ min: -1, max: 9999 }),
          rs: fc.integer({ min: -1, max: 9999 }),
        }),
        flags: fc.constant(modes.flags),
        direction: fc.constant(modes.direction),
        rtcpMux: fc.constant(modes.rtcpMux),
        security: security(modes),
        ice: ice(modes.ice),
        codecs: fc.array(codec, { maxLength: 3 }),
        offered: fc.option(fc.array(codec, { maxLength: 3 })),
        blockedSources: fc.subarray(Array.from({ length: all }, (_, at) => at)),
        hiddenExtensions: fc.constantFrom<Extensions>(noExtensions, [1, 14], 'all'),
        streams: fc.constant([2 * id, 2 * id + 1]),
        endpointMaps: fc.constant([id]),
        subscriptions: fc.array(
          fc.record({
            mediaId: fc.nat(all - 1),
            offerAnswer: fc.boolean(),
            rtcpOnly: fc.boolean(),
            egress: fc.boolean(),
            inject: fc.boolean(),
          }),
          { maxLength: 3 },
        ),
        bundle: bundleOf(all),
        extensions,
        passedOn: fc.constantFrom('', 'a=x-note:100% sure\r\na=maxptime:40\r\n'),
        endpointLearning: fc.constantFrom(...learningValues),
        ssrcTable: fc.constant([]),
        sdes: fc.constant(null),
        former: fc.option(formers, { freq: 3 }),
        srtpIndexes: fc.constant([]),
        srtpResume: fc.constant(nothingToResume),
        agreed: fc.option(agreed(all), { freq: 3 }),
        agreedDirection: fc.option(fc.constantFrom('sendrecv', 'recvonly', 'inactive'), {
          freq: 3,
        }),
        carried,
      }),
    )
    .map(withKeys);
}

/** What the lists of keys come to. */
function withKeys(media: Media): Media {
  const sdes = sdesOf(media.security, media.protocol, null);
  const hasKeys = [{ ...media, sdes }, ...(media.agreed === null ? [] : [media.agreed])].some(
    (each) => each.sdes !== null || each.security.mode.includes('DTLS'),
  );
  return hasKeys ? { ...media, sdes, srtpResume: { receive: [], send: [] } } : media;
}

function streamOf(id: number): fc.Arbitrary<Stream> {
  return fc.record({
    id: fc.constant(id),
    mediaId: fc.constant(id >> 1),
    component: fc.constant(id % 2 === 0 ? (1 as const) : (2 as const)),
    sockets: fc.constant([id]),
    selectedSocket: fc.constantFrom(id, null),
    rtcpSibling: fc.constantFrom(id % 2 === 0 ? id + 1 : null, null),
    endpoint,
    advertisedEndpoint: endpoint,
    flags: streamFlags,
    learningGeneration: fc.nat(5),
    iceRoute: fc.option(
      fc.record({ local: someEndpoint, priority: fc.nat(0x7fff_ffff), takeovers: fc.nat(9) }),
    ),
    lastPacketMicros: micros,
    stats: fc
      .tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat(3))
      .map(([packets, bytes, errors, kernelPackets]) => ({
        ...{ packets, bytes, errors, kernelPackets },
        kernelBytes: kernelPackets * 172,
      })),
    srtp: fc.option(keys),
    carried,
  });
}

function participantOf(id: number, medias: readonly number[]): fc.Arbitrary<Participant> {
  return fc.record({
    id: fc.constant(id),
    tag: fc.option(text),
    viaBranch: fc.option(text),
    label: fc.option(text),
    metadata: fc.option(text),
    createdMicros: micros,
    deletedMicros: fc.constantFrom(0, 5_000_000),
    blockMedia: fc.boolean(),
    blockDtmf: fc.constantFrom(...blockDtmfValues),
    silenceMedia: fc.boolean(),
    logicalInterface: fc.option(text),
    desiredFamily: fc.option(family),
    associated: fc.constantFrom([], [0], [1, 0]),
    branches: fc.constantFrom([], [1]),
    medias: fc.constant(medias),
    aliases: fc.array(text, { maxLength: 2 }),
    answeredFinally: fc.boolean(),
    turned: fc.boolean(),
    aliasKey: fc.option(text),
    sdpReceived: fc.option(memory),
    sdpSent: fc.option(memory),
    passedOn: fc.constantFrom('', 'i=a session\r\na=tool:x\r\n'),
    ssrcTable: fc.constant([]),
    carried: fc.constant({}),
  });
}

/** Calls of two participants with `mediaCount` medias each; times are whole seconds (10.5). */
export const anyCall: fc.Arbitrary<CallState> = fc
  .integer({ min: 1, max: 3 })
  .chain((mediaCount) => {
    const all = mediaCount * 2;
    const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
    return fc.record({
      callId: text,
      otherIds: fc.array(text, { maxLength: 2 }),
      createdMicros: micros,
      lastSignalMicros: micros,
      deletedMicros: fc.constantFrom(0, 7_000_000),
      participantDeletedMicros: fc.constantFrom(0, 8_000_000),
      tos: fc.integer({ min: -1, max: 255 }),
      createdFrom: fc.constantFrom('', '127.0.0.1:2223', '[::1]:2223'),
      createdFromAddress: fc.constantFrom('', '127.0.0.1', '::1'),
      digitsTo: fc.constantFrom('', '192.0.2.7:9000', '[2001:db8::7]:9000'),
      noticeAddress: fc.constantFrom('', '192.0.2.7', '2001:db8::7'),
      redisHostedDb: fc.nat(15),
      ownershipEpoch: fc.nat(3),
      metadata: text,
      blockMedia: fc.boolean(),
      blockDtmf: fc.constantFrom(...blockDtmfValues),
      silenceMedia: fc.boolean(),
      dropTraffic: fc.boolean(),
      ownership: fc.constant('own' as const),
      participants: fc.tuple(
        participantOf(0, range(mediaCount)),
        participantOf(
          1,
          range(mediaCount).map((at) => at + mediaCount),
        ),
      ),
      medias: fc.tuple(
        ...range(all).map((id) => mediaOf(id, id < mediaCount ? 0 : 1, (id % mediaCount) + 1, all)),
      ),
      streams: fc.tuple(...range(all * 2).map(streamOf)),
      sockets: fc.tuple(
        ...range(all * 2).map((id) =>
          fc.record({
            id: fc.constant(id),
            streamId: fc.constant(id),
            port,
            logicalInterface: text,
            addressIndex: fc.nat(3),
            family,
            open: fc.boolean(),
            srtp: fc.option(keys),
            carried: fc.constant({}),
          }),
        ),
      ),
      endpointMaps: fc.tuple(
        ...range(all).map((id) =>
          fc.record({
            id: fc.constant(id),
            mediaId: fc.constant(id),
            wildcard: fc.boolean(),
            numPorts: fc.constant(2),
            family,
            logicalInterface: text,
            endpoint,
            sockets: fc.constantFrom([], [{ addressIndex: 0, sockets: [2 * id, 2 * id + 1] }]),
            carried: fc.constant({}),
          }),
        ),
      ),
      nextIds: fc.constant({
        participant: 2,
        media: all,
        stream: all * 2,
        socket: all * 2,
        endpointMap: all,
      }),
      carried: fc.constant({}),
    });
  })
  // As a decoder makes them: without what follows from the rest.
  .map((state) => {
    dropDerived(state, '12.5');
    dropDerived(state, 'current');
    return state;
  });
