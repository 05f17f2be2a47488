/** The keys of a call's SRTP by local port, for whoever reads a capture of it. Pure. */
import type { CallState, Media } from './call-state.js';
import type { InterfaceTable } from './interfaces.js';
import { mediaPlan } from './plan.js';
import type { SrtpSessionPlan } from './relay.js';
import { keyBytes, mkiBytes, type CryptoLine } from './sdes/crypto-line.js';
import type { SrtpSuite } from './sdes/suites.js';

/** What the packets of one direction may be protected with. */
export interface CapturedKey {
  readonly suite: SrtpSuite;
  /** base64: master key and salt, master key identifier. */
  readonly key: string;
  readonly mki: string;
  readonly unencryptedSrtp: boolean;
  readonly unencryptedSrtcp: boolean;
  readonly unauthenticatedSrtp: boolean;
  /** Newest packet index of a source, as far as it was told (RFC 3711 §3.3.1). */
  readonly indexes: readonly (readonly [ssrc: number, index: number])[];
}

/** A local port: what comes to it, what leaves from it. */
export interface PortKeys {
  readonly address: string;
  readonly port: number;
  readonly receive: readonly CapturedKey[];
  readonly send: readonly CapturedKey[];
}

/** What comes to the relay, what leaves from it. */
export type Direction = 'receive' | 'send';

function indexesOf(media: Media, direction: Direction): CapturedKey['indexes'] {
  return media.srtpIndexes.flatMap((each) =>
    each.direction === direction && each.rtp !== null ? [[each.ssrc, each.rtp] as const] : [],
  );
}

type Session = Pick<
  SrtpSessionPlan,
  'suite' | 'key' | 'mki' | 'unencryptedSrtp' | 'unencryptedSrtcp' | 'unauthenticatedSrtp'
>;

const sessionOf = (line: CryptoLine): Session => ({
  ...line,
  key: keyBytes(line),
  mki: mkiBytes(line.mki),
});

/** Of SRTP that passes through: keys that the ends have told one another in the bodies. */
function passedOn({ sdes }: Media, direction: Direction): readonly Session[] {
  if (sdes === null) return [];
  const [agreed, offered] =
    direction === 'receive' ? [sdes.receive, sdes.offered] : [sdes.send, sdes.own];
  return (agreed === null ? offered : [agreed]).map(sessionOf);
}

/** Ports without keys are left out. @throws MissingAddressError (restored calls only). */
export function capturedKeys(state: CallState, interfaces: InterfaceTable): readonly PortKeys[] {
  const { ports, transports } = mediaPlan(state, interfaces);
  const found = ports.map(({ localAddress, localPort }) => ({
    ...{ address: localAddress, port: localPort },
    receive: [] as CapturedKey[],
    send: [] as CapturedKey[],
  }));
  for (const { id, ports: own, egressPort, srtp } of transports) {
    const stream = state.streams.find((each) => each.id === id);
    const media = state.medias.find((each) => each.id === stream?.mediaId);
    if (media === undefined) continue;
    const add = (direction: Direction, positions: readonly number[]): void => {
      const agreed = srtp?.[direction] ?? null;
      const sessions = srtp === null ? passedOn(media, direction) : agreed === null ? [] : [agreed];
      const keys = sessions.map(({ suite, key, mki, ...session }) => ({
        ...{ suite, key: key.toString('base64'), mki: mki.toString('base64') },
        unencryptedSrtp: session.unencryptedSrtp,
        unencryptedSrtcp: session.unencryptedSrtcp,
        unauthenticatedSrtp: session.unauthenticatedSrtp,
        indexes: indexesOf(media, direction),
      }));
      for (const position of positions) found[position]?.[direction].push(...keys);
    };
    add('receive', own);
    add('send', egressPort === null ? [] : [egressPort]);
  }
  return found.filter(({ receive, send }) => receive.length + send.length > 0);
}
