/** The vocabulary of a side-by-side sequence: what is sent to both daemons, one step after another. */
import type { NgDictionary } from '../../support/bencode.js';
import type { NgEncoding } from '../../support/ng-client.js';
import { buildSdp, type MediaSection, type SdpOptions } from '../../support/sdp.js';

/** The phones of a sequence: a calls, x and y are called, z is a stranger. */
export type Party = 'a' | 'x' | 'y' | 'z';

/** What a step may need to know while it is carried out against one of the daemons. */
export interface Scene {
  /** Call-id of the sequence. */
  readonly callId: string;
  /** RTP port of a phone; asking opens its sockets on 127.0.0.1. */
  readonly port: (party: Party) => Promise<number>;
  /** The last SDP that a phone was sent and has not asked for yet. */
  readonly offeredTo: (party: Party) => string | null;
}

type BodyOf = (scene: Scene) => Promise<string>;

/** Sends a command; the reply is compared. */
export interface CommandStep {
  readonly kind: 'command';
  readonly name: string;
  readonly dictionary: (scene: Scene) => Promise<NgDictionary>;
  readonly encoding: NgEncoding;
  /** The phone that gets the SDP of the reply, for media steps. */
  readonly delivers: Party | null;
  /** Only the keys and types of the reply are compared. */
  readonly shapeOnly: boolean;
}

/** Sends bytes that need not be a message at all. */
export interface RawStep {
  readonly kind: 'raw';
  readonly name: string;
  /** Whole datagram after the cookie and the space; `null` cookie: there is no cookie either. */
  readonly body: string;
  readonly cookie: string | null;
}

/** A phone sends RTP (or RTCP) to where its last SDP told it; what all phones receive is compared. */
export interface MediaStep {
  readonly kind: 'media';
  readonly name: string;
  readonly from: Party;
  /** Whose SDP names the destination; by default the sender's own. */
  readonly usingSdpOf: Party;
  readonly packets: number;
  readonly rtcp: boolean;
  /** Nothing is sent where there is no such SDP yet, or the section is refused. */
  readonly ifTold?: boolean;
}

/** A phone sends datagrams as they are given; what the others receive is compared byte by byte. */
export interface DatagramStep {
  readonly kind: 'datagrams';
  readonly name: string;
  readonly from: Party;
  /** Whose SDP names the destination; by default the sender's own. */
  readonly usingSdpOf: Party;
  readonly datagrams: readonly Buffer[];
}

export interface PauseStep {
  readonly kind: 'pause';
  readonly name: string;
  readonly milliseconds: number;
}

export type Step = CommandStep | RawStep | MediaStep | DatagramStep | PauseStep;

export interface Sequence {
  readonly name: string;
  readonly steps: readonly Step[];
}

export function sequence(name: string, ...steps: readonly Step[]): Sequence {
  return { name, steps };
}

export interface CommandOptions {
  readonly encoding?: NgEncoding;
  readonly delivers?: Party;
  readonly shapeOnly?: boolean;
  /** Shown in differences; default the command. */
  readonly name?: string;
}

/** Any command with the call-id of the sequence, unless `keys` say otherwise (undefined: none). */
export function command(
  word: string,
  keys: NgDictionary | ((scene: Scene) => NgDictionary) = {},
  options: CommandOptions = {},
): CommandStep {
  return {
    kind: 'command',
    name: options.name ?? word,
    dictionary: async (scene) => ({
      'call-id': scene.callId,
      ...(typeof keys === 'function' ? keys(scene) : keys),
      command: word,
    }),
    encoding: options.encoding ?? 'bencode',
    delivers: options.delivers ?? null,
    shapeOnly: options.shapeOnly ?? false,
  };
}

/** A dictionary sent exactly as it is. */
export function dictionary(name: string, keys: NgDictionary): CommandStep {
  return { ...command(name), name, dictionary: async () => keys };
}

/** Body given as text, as a builder's options, or needing the ports of this run. */
export type Body = string | SdpOptions | BodyOf;

async function bodyText(body: Body, scene: Scene): Promise<string> {
  if (typeof body === 'string') return body;
  return typeof body === 'function' ? body(scene) : buildSdp(body);
}

function signalling(
  word: 'offer' | 'answer',
  tags: NgDictionary,
  body: Body,
  keys: NgDictionary,
  options: CommandOptions,
): CommandStep {
  return {
    ...command(word, {}, options),
    dictionary: async (scene) => ({
      'call-id': scene.callId,
      sdp: await bodyText(body, scene),
      ...tags,
      ...keys,
      command: word,
    }),
  };
}

/** Offer of a; its SDP says 192.0.2.10:6000 unless `body` says otherwise. */
export function offer(
  body: Body = {},
  keys: NgDictionary = {},
  options: CommandOptions = {},
): CommandStep {
  return signalling('offer', { 'from-tag': 'a' }, body, keys, { delivers: 'x', ...options });
}

/** Body options of the called phone, 192.0.2.77:7000 by default. */
export function called(
  media: readonly MediaSection[] = [audioOf(7000)],
  more: SdpOptions = {},
): SdpOptions {
  return { user: 'bea', origin: '192.0.2.77', address: '192.0.2.77', media, ...more };
}

/** An audio section with the formats 0 8 101. */
export function audioOf(port: number, ...lines: readonly string[]): MediaSection {
  return { port, lines: ['a=rtpmap:101 telephone-event/8000', ...lines] };
}

/** Body options of the caller: one audio section with further lines. */
export function caller(port = 6000, ...lines: readonly string[]): SdpOptions {
  return { media: [audioOf(port, ...lines)] };
}

/** Answer of x to a's offer. */
export function answer(
  body: Body = called(),
  keys: NgDictionary = {},
  options: CommandOptions = {},
): CommandStep {
  const tags = { 'from-tag': 'a', 'to-tag': 'x' };
  return signalling('answer', tags, body, keys, { delivers: 'a', ...options });
}

/** Re-offer of a to x. */
export function reoffer(
  body: Body = {},
  keys: NgDictionary = {},
  options: CommandOptions = {},
): CommandStep {
  return offer(body, { 'to-tag': 'x', ...keys }, options);
}

/** Re-offer of x to a. */
export function calleeOffer(body: Body = called(), keys: NgDictionary = {}): CommandStep {
  return signalling('offer', { 'from-tag': 'x', 'to-tag': 'a' }, body, keys, { delivers: 'a' });
}

/** Answer of a to x's offer. */
export function callerAnswer(body: Body = {}, keys: NgDictionary = {}): CommandStep {
  return signalling('answer', { 'from-tag': 'x', 'to-tag': 'a' }, body, keys, { delivers: 'x' });
}

export function query(keys: NgDictionary = {}): CommandStep {
  return command('query', keys);
}

/** Deletes at once unless `keys` hold another delay. */
export function hangUp(keys: NgDictionary = { 'from-tag': 'a' }): CommandStep {
  return command('delete', { 'delete-delay': 0, ...keys });
}

/** Body of a phone of this run: its real port on the loopback. */
export function phone(party: Party, lines: readonly string[] = [], address = '127.0.0.1'): BodyOf {
  return phoneWith(party, (port) => audioOf(port, ...lines), address);
}

/** As `phone`, with a section of its own. */
export function phoneWith(
  party: Party,
  section: (port: number) => MediaSection,
  address = '127.0.0.1',
): BodyOf {
  return async (scene) => {
    const port = await scene.port(party);
    return buildSdp({ user: party, origin: address, address, media: [section(port)] });
  };
}

export function media(from: Party, packets = 5, usingSdpOf: Party = from): MediaStep {
  return { kind: 'media', name: `RTP from ${from}`, from, usingSdpOf, packets, rtcp: false };
}

export function report(from: Party, usingSdpOf: Party = from): MediaStep {
  return { kind: 'media', name: `RTCP from ${from}`, from, usingSdpOf, packets: 1, rtcp: true };
}

export function datagrams(
  from: Party,
  list: readonly Buffer[],
  usingSdpOf: Party = from,
): DatagramStep {
  const name = `datagrams from ${from}`;
  return { kind: 'datagrams', name, from, usingSdpOf, datagrams: list };
}

export function wait(milliseconds: number): PauseStep {
  return { kind: 'pause', name: 'pause', milliseconds };
}

/** Bytes under a cookie of their own. */
export function raw(name: string, body: string): RawStep {
  return { kind: 'raw', name, body, cookie: null };
}

/** Bytes under a given cookie. */
export function rawUnder(cookie: string, name: string, body: string): RawStep {
  return { kind: 'raw', name, body, cookie };
}
