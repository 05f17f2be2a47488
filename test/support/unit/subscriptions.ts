/** Publishers and subscribers on the call model alone. */
import { body, ModelCall, plainRequest, type Keys } from './media.js';
import { publish } from '../../../src/media/subscriptions/publish.js';
import {
  subscribeAnswer,
  subscribeRequest,
  unsubscribe,
  type OfferedSubscription,
} from '../../../src/media/subscriptions/subscribe.js';
import { mediaPlan } from '../../../src/media/plan.js';
import type { SignallingFlag } from '../../../src/media/signalling.js';
import type { Subscribing } from '../../../src/media/subscriptions/sources.js';
import type { CallState } from '../../../src/media/call-state.js';

export const flagged = (...flags: readonly SignallingFlag[]): Keys => ({ flags: new Set(flags) });

/** A call with publishers and subscribers besides its dialogues. */
export class PublishedCall extends ModelCall {
  get present(): CallState {
    if (this.state === null) throw new Error('there is no call yet');
    return this.state;
  }

  publish(sdp: string, keys: Keys = {}): string {
    const request = { ...plainRequest, callId: 'call', fromTag: 'p', sdp, ...keys };
    const result = publish(this.state, request, this.context);
    this.state = result.state;
    this.warnings = result.warnings;
    return result.sdp;
  }

  /** Offers `toTag` what `p` publishes, unless `keys` name somebody else. */
  subscribe(toTag: string, keys: Partial<Subscribing> = {}): OfferedSubscription {
    const named = 'fromTag' in keys || 'fromTags' in keys || keys.all === true || 'label' in keys;
    const who = named ? { fromTag: null } : { fromTag: 'p' };
    const request = { ...plainRequest, callId: 'call', ...who, ...keys };
    const result = subscribeRequest(this.present, request, toTag, this.context);
    this.state = result.state;
    this.warnings = result.warnings;
    return result;
  }

  accept(toTag: string, sdp: string, keys: Keys = {}): void {
    const request = { ...plainRequest, callId: 'call', fromTag: '', sdp, ...keys };
    const result = subscribeAnswer(this.present, request, toTag, this.context);
    this.state = result.state;
    this.warnings = result.warnings;
  }

  unsubscribe(toTag: string): void {
    this.state = unsubscribe(this.present, toTag, this.context.nowMicros).state;
  }

  /** `FROM>TO` for each route of RTP (or RTCP) of first sections to somebody who can be reached. */
  routes(kind: 'rtp' | 'rtcp' = 'rtp'): readonly string[] {
    const plan = mediaPlan(this.present, this.context.interfaces);
    const tagOf = new Map(
      this.present.streams.map(({ id, mediaId }) => {
        const media = this.present.medias.find((each) => each.id === mediaId);
        const owner = this.present.participants.find((each) => each.id === media?.participantId);
        return [id, owner?.tag ?? ''];
      }),
    );
    const reached = new Set(
      plan.transports.filter(({ remote }) => remote.endpoint !== null).map(({ id }) => id),
    );
    return plan.routes
      .filter((route) => route.kind === kind && reached.has(route.toStream))
      .map(({ fromStream, toStream }) => `${tagOf.get(fromStream)}>${tagOf.get(toStream)}`);
  }
}

/** A body of one audio section with these formats. */
export function audio(port: number, formats: string, ...lines: readonly string[]): string {
  return body(port, lines)
    .replace('RTP/AVP 0 8 101', `RTP/AVP ${formats}`)
    .replace(/a=(?:rtpmap|fmtp):101.*\r\n/g, (line) => (formats.includes('101') ? line : ''));
}
