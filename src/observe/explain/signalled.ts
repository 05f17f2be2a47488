/** What signalling and commands make of a direction. */
import { isHeld } from '../../media/call-index.js';
import { familyOf, formatEndpoint } from '../../media/call-state.js';
import {
  directionInUse,
  receivesFrom,
  sendsTo,
  type MediaDirection,
} from '../../media/media-attributes.js';
import { restrictionsOf } from '../../media/payload-rules.js';
import { nameOf, remoteOf, type DirectionEvidence, type EndEvidence } from './evidence.js';
import { cause, hint, type Finding } from './finding.js';

/** A media's direction in the words of its own SDP (RFC 8866 §6.7). */
const ownWords: Readonly<Record<MediaDirection, string>> = {
  sendrecv: 'sendrecv',
  sendonly: 'recvonly',
  recvonly: 'sendonly',
  inactive: 'inactive',
};

const isRefused = ({ rtp: { stream } }: EndEvidence): boolean =>
  stream.advertisedEndpoint?.port === 0 ||
  (stream.flags.has('filled') && stream.sockets.length === 0);

function holdOf({ from, to }: DirectionEvidence): Finding | null {
  const [a, b] = [nameOf(from.participant), nameOf(to.participant)];
  const next =
    'Normal on hold. If nobody holds, look for the re-INVITE that should have ended it: it must reach the ' +
    'relay as an offer with a=sendrecv.';
  const held = (text: string): Finding => cause('hold', text, next);
  if (isHeld(to.rtp.stream)) {
    return held(`${b} is on hold: its SDP has the address 0.0.0.0, so nothing is sent to it.`);
  }
  const [fromDirection, toDirection] = [directionInUse(from.media), directionInUse(to.media)];
  if (!receivesFrom(fromDirection)) {
    const said = ownWords[fromDirection];
    return held(`The call is on hold: ${a} is not to send (a=${said} between it and the relay).`);
  }
  if (!sendsTo(toDirection)) {
    const said = ownWords[toDirection];
    return held(
      `The call is on hold: ${b} is to get nothing (a=${said} between it and the relay).`,
    );
  }
  return null;
}

function commandsOf({ from, call: { state } }: DirectionEvidence): readonly Finding[] {
  const { blockMedia, silenceMedia } = restrictionsOf(state, from.participant);
  const a = nameOf(from.participant);
  const by = (own: boolean): string => (own ? `of ${a}` : 'of the whole call');
  const findings: Finding[] = [];
  if (state.dropTraffic) {
    findings.push(
      cause(
        'traffic-dropped',
        "All packets are dropped: the flag 'drop-traffic' was in the last command.",
        "Send an offer or answer with the flag 'drop-traffic-stop' or without it.",
      ),
    );
  }
  if (blockMedia) {
    const whose = by(!state.blockMedia);
    findings.push(
      cause(
        'blocked',
        `Media ${whose} is blocked by the command 'block media'.`,
        "Send 'unblock media' for the same tag, address or label.",
      ),
    );
  } else if (silenceMedia) {
    const whose = by(!state.silenceMedia);
    findings.push(
      cause(
        'silenced',
        `Audio ${whose} is replaced by silence, by the command 'silence media'.`,
        "Send 'unsilence media' for the same tag, address or label.",
      ),
    );
  }
  return findings;
}

function destinationOf({ to, from }: DirectionEvidence): Finding | null {
  const remote = remoteOf(to.rtp);
  const b = nameOf(to.participant);
  const { local } = to.rtp;
  if (remote === null || remote.port === 0) {
    if (!to.rtp.stream.flags.has('filled')) return null;
    return cause(
      'no-destination',
      `It is not known where ${b} wants its packets.`,
      `Look at the c= and m= lines that ${b} sent, and at trust-address and media-address.`,
    );
  }
  if (local !== null && familyOf(local.endpoint.address) !== familyOf(remote.address)) {
    const [ours, theirs] = [familyOf(local.endpoint.address), familyOf(remote.address)];
    const how = from.media.desiredFamily === theirs ? 'IPv6 and IPv4' : 'IPv4 and IPv6';
    return cause(
      'family-mismatch',
      `Address families do not match: ${b} is at ${formatEndpoint(remote)} (${wordOf(theirs)}), but the relay's ` +
        `port for it is ${formatEndpoint(local.endpoint)} (${wordOf(ours)}).`,
      `Ask for ${wordOf(theirs)} in the offer (address-family=${theirs}), on an interface that has ${how}.`,
    );
  }
  return null;
}

const wordOf = (family: 'IP4' | 'IP6'): string => (family === 'IP4' ? 'IPv4' : 'IPv6');

function addressOf(end: EndEvidence): Finding | null {
  const { local } = end.rtp;
  if (local === null || local.isHere) return null;
  const { address } = local.endpoint;
  return cause(
    'address-not-here',
    `The relay's address ${address} is not on this machine, so nothing that ${nameOf(end.participant)} sends arrives here.`,
    `See which node has it (ip address show to ${address}); in a pair keepalived or Pacemaker should have moved it.`,
  );
}

/** Findings in the order of how much they decide. */
export function signalledFindings(direction: DirectionEvidence): readonly Finding[] {
  const { from, to } = direction;
  const findings: Finding[] = [];
  const add = (finding: Finding | null): void => {
    if (finding !== null) findings.push(finding);
  };
  for (const end of [from, to]) {
    if (!isRefused(end)) continue;
    add(
      cause(
        'section-refused',
        `${nameOf(end.participant)} has refused this section (port 0 in its SDP).`,
        'Compare the codecs of both SDP bodies; without a common one a section is refused.',
      ),
    );
    return findings;
  }
  add(addressOf(from));
  add(holdOf(direction));
  findings.push(...commandsOf(direction));
  add(destinationOf(direction));
  const { local } = from.rtp;
  if (local !== null && local.advertised !== local.endpoint.address) {
    const address = `${local.endpoint.address} is written as ${local.advertised} in the SDP`;
    if (findings.length === 0 && from.rtp.counters?.packets === 0) {
      add(
        hint(
          'no-packets',
          `The relay's address ${address}.`,
          `What is sent to ${local.advertised} has to be led to ${local.endpoint.address}, all media ports.`,
        ),
      );
    }
  }
  return findings;
}
