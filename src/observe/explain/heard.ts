/** What the packets of a direction say: what came, what was dropped and why, what left. */
import { formatEndpoint, sameEndpoint, type Codec, type Endpoint } from '../../media/call-state.js';
import type { DropReason } from '../../media/relay.js';
import {
  admittedOf,
  ago,
  lastOf,
  nameOf,
  packetsOf,
  remoteOf,
  type DirectionEvidence,
  type EndEvidence,
} from './evidence.js';
import { cause, hint, type Finding } from './finding.js';

/** So long after its last packet a stream counts as silent, µs. */
const silentMicros = 2e6;

const placeOf = (endpoint: Endpoint | null): string =>
  endpoint === null ? 'an unknown address' : formatEndpoint(endpoint);

const localOf = ({ rtp: { local } }: EndEvidence): string =>
  local === null ? 'its port' : formatEndpoint(local.endpoint);

/** RFC 1918, RFC 6598, RFC 3927, RFC 4193. */
const isPrivate = (address: string): boolean =>
  /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|169\.254\.|f[cd])/i.test(
    address,
  );

/** RTP that has come to the port of RTCP. */
const straysOf = ({ rtp, rtcp }: EndEvidence): number =>
  (rtcp?.trace?.rtpOnRtcpPort ?? 0) + (rtp.trace?.rtpOnRtcpPort ?? 0);

function silenceOf(direction: DirectionEvidence): Finding {
  const { from, to, back } = direction;
  const a = nameOf(from.participant);
  const { rtcp } = from;
  const strays = straysOf(from);
  if (strays > 0 && rtcp !== null) {
    const port = rtcp.local === null ? '' : ` (${formatEndpoint(rtcp.local.endpoint)})`;
    return cause(
      'rtp-on-rtcp-port',
      `${a} sends its RTP to the port of RTCP${port}: ${strays} packets; none has come to ${localOf(from)}.`,
      `Compare the port of the m= line that ${a} was given with where it sends; a proxy that changes the SDP after the relay is a usual reason.`,
    );
  }
  const sent = from.rtp.counters?.packetsOut ?? 0;
  const remote = remoteOf(from.rtp);
  if (sent === 0) {
    const nobody = packetsOf(back) === 0 && straysOf(to) === 0;
    const text = nobody
      ? `Neither ${a} nor ${nameOf(to.participant)} has sent a packet.`
      : `Nothing has come from ${a} to ${localOf(from)}.`;
    return cause('no-packets', text, nextForSilence(from));
  }
  if ((from.rtp.trace?.unreachable ?? null) !== null) {
    return cause(
      'no-packets',
      `Nothing has come from ${a}; its host refuses what the relay sends there.`,
      null,
    );
  }
  return cause(
    'nothing-comes-back',
    `${sent} packets have left for ${a} at ${placeOf(remote)}, and nothing has come from it to ${localOf(from)}, not even an ICMP error.`,
    `A firewall or NAT between drops one of the ways: on this machine, "tcpdump -n udp port ${from.rtp.local?.endpoint.port ?? 0}" shows whether its packets arrive; on the phone, whether ours do.`,
  );
}

function nextForSilence(from: EndEvidence): string {
  const { local } = from.rtp;
  const told = local === null ? '' : ` ${local.advertised}:${local.endpoint.port}`;
  return `See that the SDP that ${nameOf(from.participant)} got names${told}, that this address can be reached from it, and that it has begun to send (it may wait for us: pierce-NAT).`;
}

function strangerOf({ from, call }: DirectionEvidence): Finding | null {
  const stranger = from.rtp.trace?.stranger ?? null;
  const dropped = from.rtp.counters?.drops['strict-source'] ?? 0;
  if (stranger === null || dropped === 0) return null;
  const expected = remoteOf(from.rtp);
  const a = nameOf(from.participant);
  const text =
    `${dropped} packets to the port of ${a} were dropped because of their source (strict-source): the last from ` +
    `${placeOf(stranger.endpoint)}, ${ago(call.nowMicros, stranger.atMicros)} ago; expected is ${placeOf(expected)}.`;
  const next =
    'If that is the phone, its address changed or its SDP names another one: leave strict-source out, or add ' +
    'media-handover; else somebody tries to get into the call.';
  return admittedOf(from.rtp) > 0 && !isSilent(from, call.nowMicros)
    ? hint('wrong-source', text, next)
    : cause('wrong-source', text, next);
}

const isSilent = (end: EndEvidence, nowMicros: number): boolean =>
  nowMicros - lastOf(end.rtp) > silentMicros;

function securityOf({ from, to }: DirectionEvidence): readonly Finding[] {
  const drops = from.rtp.counters?.drops ?? {};
  const a = nameOf(from.participant);
  const findings: Finding[] = [];
  const bad = drops['not-authentic'] ?? 0;
  const plain = drops['unknown-protocol'] ?? 0;
  if (bad > 0) {
    findings.push(
      cause(
        'not-authentic',
        `${bad} packets of ${a} do not fit the keys of its SDP: it sends plain RTP, or encrypts with another key.`,
        `Compare the a=crypto lines that ${a} sent and got; a proxy must not change them, and both ends must choose the same tag.`,
      ),
    );
  }
  const handshake = [from, to].find(({ media }) => media.security.mode === 'DTLS');
  if ((drops['no-key'] ?? 0) > 0 && handshake !== undefined) {
    const who = nameOf(handshake.participant);
    findings.push(
      cause(
        'no-key',
        `${drops['no-key']} packets were dropped because there are no keys: the DTLS handshake with ${who} is not complete.`,
        `Compare the a=fingerprint and a=setup lines of ${who} with what it sends; with ICE its checks have to succeed first.`,
      ),
    );
  } else if ((drops['no-key'] ?? 0) > 0) {
    findings.push(
      cause(
        'no-key',
        `${drops['no-key']} packets were dropped because keys for ${nameOf(to.participant)} or ${a} are missing.`,
        'The SDP of one side has SRTP in its protocol but no a=crypto line or fingerprint that was accepted.',
      ),
    );
  }
  if (plain > 0 && from.media.sdes !== null) {
    findings.push(hint('other-drops', `${plain} packets of ${a} were neither RTP nor RTCP.`));
  }
  for (const [reason, what] of otherDrops) {
    const count = drops[reason] ?? 0;
    if (count > 0) findings.push(hint('other-drops', `${count} packets of ${a} ${what}.`));
  }
  const extra = srtpTagBytes(from);
  if (extra !== null) {
    findings.push(
      cause(
        'looks-like-srtp',
        `${a} seems to send SRTP though its section is ${from.media.protocol}: its payloads of ${from.rtp.trace?.payloadBytes ?? 0} bytes are ${extra} bytes longer than its codec makes them, the length of an SRTP tag. It is passed on as it is, so ${nameOf(to.participant)} hears noise or nothing.`,
        'Offer RTP/SAVP with SDES to that side (transport-protocol=RTP/SAVP), or switch SRTP off in the phone.',
      ),
    );
  }
  return findings;
}

/** Drops that do not decide by themselves, in words. */
const otherDrops: readonly (readonly [DropReason, string])[] = [
  ['repeated', 'were dropped because their SRTP index was used before (sent twice, or replayed)'],
  ['malformed', 'were dropped because they are no well-formed RTP or RTCP'],
  ['truncated', 'were dropped because they are longer than any packet of media'],
  ['loop', 'were dropped because they had come again and again: they go round in a circle'],
  ['unknown-stream', 'were dropped because they belong to no section of its bundle'],
  [
    'stale',
    'were dropped because they had waited for too long: the machine cannot relay all that comes',
  ],
  ['handshake-flood', 'were dropped because DTLS came faster than any handshake does'],
];

/** Bytes of 10 ms (of a frame) of codecs that have a constant rate. */
const constantRate: ReadonlyMap<string, number> = new Map([
  ['PCMU', 80],
  ['PCMA', 80],
  ['G722', 80],
  ['GSM', 33],
]);
/** RFC 3711, 4568, 7714: 32 and 80 bits, GCM. */
const tagLengths: ReadonlySet<number> = new Set([4, 10, 16]);

function srtpTagBytes({ media, rtp: { trace } }: EndEvidence): number | null {
  if (trace === null || media.sdes !== null || media.protocol.includes('SAVP')) return null;
  const codec = codecOf(media.codecs, trace.payloadType);
  const step = constantRate.get(codec?.encoding.toUpperCase() ?? '');
  if (step === undefined || trace.payloadBytes <= step) return null;
  const rest = trace.payloadBytes % step;
  return tagLengths.has(rest) ? rest : null;
}

const codecOf = (codecs: readonly Codec[], type: number): Codec | undefined =>
  codecs.find(({ payloadType }) => payloadType === type);

/** RFC 3551 §6. */
const staticNames: ReadonlyMap<number, string> = new Map([
  [0, 'PCMU'],
  [3, 'GSM'],
  [4, 'G723'],
  [8, 'PCMA'],
  [9, 'G722'],
  [13, 'CN'],
  [18, 'G729'],
  [34, 'H263'],
]);

/** `PCMA (8)` */
const codecText = (codecs: readonly Codec[], type: number): string =>
  `${codecOf(codecs, type)?.encoding ?? staticNames.get(type) ?? 'payload type'} (${type})`;

const isSpeech = (codecs: readonly Codec[], type: number): boolean => {
  const name = codecOf(codecs, type)?.encoding.toLowerCase() ?? '';
  return name !== 'telephone-event' && name !== 'cn' && type !== 13;
};

function contentsOf({ from, to, call }: DirectionEvidence): readonly Finding[] {
  const { trace } = from.rtp;
  if (trace === null || trace.payloadTypes.length === 0) return [];
  const a = nameOf(from.participant);
  const findings: Finding[] = [];
  const { payloadType } = trace;
  const known = [...to.media.codecs, ...from.media.codecs];
  const speech = trace.payloadTypes.filter((type) => isSpeech(known, type));
  if (to.media.codecs.length > 0 && codecOf(to.media.codecs, payloadType) === undefined) {
    const list = to.media.codecs
      .map((codec) => `${codec.encoding} (${codec.payloadType})`)
      .join(', ');
    findings.push(
      cause(
        'unexpected-payload',
        `${a} sends ${codecText(known, payloadType)}, but ${nameOf(to.participant)} takes only ${list}.`,
        'The relay does not transcode: both answers must agree on a codec (codec-strip, codec-offer).',
      ),
    );
  } else if (speech.length > 1) {
    const before = speech
      .filter((type) => type !== payloadType)
      .map((type) => codecText(known, type));
    findings.push(
      hint(
        'codec-changed',
        `${a} has changed its codec: it sent ${before.join(', ')}, now ${codecText(known, payloadType)}.`,
        `Phones that cannot follow such a change go silent; offer one codec only (codec-strip, single-codec).`,
      ),
    );
  }
  if (trace.ssrcChanges > 0) {
    const times = trace.ssrcChanges === 1 ? 'once' : `${trace.ssrcChanges} times`;
    findings.push(
      hint(
        'ssrc-changed',
        `${a} has changed its SSRC ${times}, last ${ago(call.nowMicros, trace.ssrcChangedMicros)} ago, now ${(from.rtp.counters?.ssrc ?? 0).toString(16)}.`,
        'Usual after a transfer or with music on hold; a phone that keeps to the first SSRC stays silent.',
      ),
    );
  }
  return findings;
}

function departureOf({ from, to, call }: DirectionEvidence): readonly Finding[] {
  const b = nameOf(to.participant);
  const { trace } = to.rtp;
  const { nowMicros } = call;
  const remote = remoteOf(to.rtp);
  const findings: Finding[] = [];
  const unreachable = trace?.unreachable ?? null;
  if (
    unreachable !== null &&
    (unreachable.endpoint === null || sameEndpoint(unreachable.endpoint, remote))
  ) {
    findings.push(
      cause(
        'icmp-unreachable',
        `The way to ${b} is closed: ${placeOf(unreachable.endpoint)} answers with ICMP ${icmpText(unreachable.errno)} (${unreachable.count} times, last ${ago(nowMicros, unreachable.atMicros)} ago).`,
        `Nothing listens there any more, or a firewall rejects it: compare with the port in the last SDP of ${b}; a phone that has hung up or moved without telling the proxy looks like this.`,
      ),
    );
  }
  if ((trace?.sendFailures ?? 0) > 0) {
    findings.push(
      cause(
        'send-failed',
        `${trace?.sendFailures} packets could not be sent to ${b} at ${placeOf(remote)}: ${trace?.sendErrno ?? 'unknown error'}.`,
        'Look at routes and addresses of this machine (ip route get ADDRESS), and at the address family of the interface.',
      ),
    );
  }
  const drops = from.rtp.counters?.drops ?? {};
  const waiting = drops['nat-wait'] ?? 0;
  if (waiting > 0 && packetsOf(to.rtp) === 0) {
    findings.push(
      cause(
        'never-heard',
        `${waiting} packets for ${b} were held back until it is heard for the first time (NAT-wait).`,
        `${b} has to send first; see the other direction.`,
      ),
    );
  } else if (remote !== null && packetsOf(to.rtp) === 0 && isPrivate(remote.address)) {
    findings.push(
      hint(
        'never-heard',
        `${b} has not been heard yet; packets for it go to the private address of its SDP, ${placeOf(remote)}.`,
        'If it is behind NAT, it has to send first; or use the address that its SIP message came from (SIP-source-address).',
      ),
    );
  }
  return findings;
}

const icmpTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'port unreachable',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EACCES: 'communication prohibited',
  EMSGSIZE: 'packet too big',
  EPROTO: 'time exceeded or parameter problem',
};

const icmpText = (errno: string | undefined): string =>
  icmpTexts[errno ?? ''] ?? `error ${errno ?? ''}`;

/** Findings in the order of how much they decide. */
export function heardFindings(direction: DirectionEvidence): readonly Finding[] {
  const { from, call } = direction;
  const findings: Finding[] = [];
  const stranger = strangerOf(direction);
  if (stranger !== null) findings.push(stranger);
  if (packetsOf(from.rtp) === 0) findings.push(silenceOf(direction));
  findings.push(...securityOf(direction), ...contentsOf(direction));
  const admitted = admittedOf(from.rtp);
  if (admitted > 0 && isSilent(from, call.nowMicros) && stranger?.weight !== 'cause') {
    findings.push(
      cause(
        'stopped',
        `${nameOf(from.participant)} has sent nothing for ${ago(call.nowMicros, lastOf(from.rtp))}, after ${admitted} packets.`,
        'It has hung up, lost its network or moved to another address or port; silence suppression would still send a packet now and then.',
      ),
    );
  }
  return [...findings, ...departureOf(direction)];
}
