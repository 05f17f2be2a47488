/**
 * Digits that are dialled in a participant's place (`play DTMF`, ng-protocol.md §3.12): as events of RFC 4733, to
 * whoever has negotiated those. Tones are not made. Refused in rtpengine's words.
 */
import { CallIndex } from './call-index.js';
import {
  isTelephoneEvent,
  type CallState,
  type Codec,
  type Media,
  type Stream,
} from './call-state.js';
import { SignallingError } from './errors.js';
import type { DialledDigit } from './relay.js';
import { selectedParticipant, type Selection } from './selection.js';

/** What is dialled. */
export interface Dial extends Selection {
  /** 0 to 15. */
  readonly digit: number;
  readonly durationMs: number;
  /** After it. */
  readonly pauseMs: number;
  /** dBm0 without its sign, 0 to 63. */
  readonly volume: number;
  /** Whoever is told of the digits of the stream is told of it, too. */
  readonly told: boolean;
}

/** A digit and the stream into which it goes. */
export interface Dialling {
  readonly streamId: number;
  readonly digit: DialledDigit;
}

/** Where the time of a packet is not known from its sender's body. */
const usualPtimeMs = 20;

const refused = (reason: string, why?: string): SignallingError =>
  new SignallingError('not-possible', reason, why === undefined ? {} : { cause: new Error(why) });

/** The event that a receiver takes on the clock of the sender's audio (RFC 4733 §2.1). */
function eventFor(sender: Media, receivers: readonly Media[]): Codec | undefined {
  const clock = sender.codecs.find((codec) => !isTelephoneEvent(codec))?.clockRate;
  for (const { codecs } of receivers) {
    const event = codecs.find((codec) => isTelephoneEvent(codec) && codec.clockRate === clock);
    if (event !== undefined) return event;
  }
  return undefined;
}

/**
 * The streams that the digit goes into.
 * @param heard whether RTP has come as a stream: the digit takes the place of what its sender sends.
 * @throws SignallingError
 */
export function diallingOf(
  state: CallState,
  dial: Dial,
  heard: (stream: Stream) => boolean,
): readonly Dialling[] {
  const index = new CallIndex(state);
  const selected = selectedParticipant(state, dial);
  const ids = new Set(
    (selected === null ? state.participants : [selected]).flatMap(({ medias }) => medias),
  );
  const senders = state.medias.filter(({ id, type }) => ids.has(id) && type === 'audio');
  if (senders.length === 0) throw refused('Monologue has no media capable of DTMF injection');
  const spoken = senders.flatMap((media) => {
    const stream = index.streams.get(media.streams[0] ?? -1);
    return stream !== undefined && heard(stream) ? [{ media, stream }] : [];
  });
  if (spoken.length === 0) throw refused('No SSRC context present for DTMF injection');
  const dialling = spoken.flatMap(({ media, stream }): readonly Dialling[] => {
    const event = eventFor(media, index.receiversOf(media.id));
    if (event === undefined) return [];
    const units = (ms: number): number => Math.round((ms * event.clockRate) / 1000);
    const digit: DialledDigit = {
      ...{ event: dial.digit, volume: dial.volume, payloadType: event.payloadType },
      told: dial.told,
      duration: units(dial.durationMs),
      pause: units(dial.pauseMs),
      frame: units(media.ptimeMs > 0 ? media.ptimeMs : usualPtimeMs),
      lastsMs: dial.durationMs + dial.pauseMs,
    };
    return [{ streamId: stream.id, digit }];
  });
  if (dialling.length === 0) {
    throw refused(
      'There is no sink media capable of DTMF playback',
      'nobody who hears it has negotiated telephone-event, and tones are not made',
    );
  }
  return dialling;
}
