/**
 * What the offer/answer model is asked for: an NG request after parsing (ng-protocol.md §4). Its fields
 * and their types are the rows of the request table; the model knows nothing of dictionaries.
 */
import type { EndpointLearning } from './call-state.js';
import type { DtlsIdentity } from './media-attributes.js';
import type { InterfaceTable } from './interfaces.js';
import type { PortAllocator } from './port-pool.js';
import type { OfferAnswerRequest } from '../ng-protocol/requests.js';

export type {
  ReplaceWord as ReplaceOption,
  RequestFlag as SignallingFlag,
  RtcpMuxWord as RtcpMuxOption,
} from '../ng-protocol/requests.js';

/** A parsed `offer` or `answer`, whoever sent it. Strings are byte strings. */
export type SignallingRequest = Omit<
  OfferAnswerRequest,
  'command' | 'unknown' | 'unsupported' | 'idle'
>;

export type SignallingKind = OfferAnswerRequest['command'];

/** Everything outside the call that a decision depends on. */
export interface SignallingContext {
  readonly nowMicros: number;
  /** Control client, `ip:port` and `ip`. */
  readonly controlClient: string;
  readonly controlAddress: string;
  readonly interfaces: InterfaceTable;
  readonly ports: PortAllocator;
  /** Value of this process' loop-protection mark, 12 hex digits. */
  readonly instanceId: string;
  /** s= of bodies that are made here. */
  readonly softwareId: string;
  readonly endpointLearning: EndpointLearning;
  /** TOS byte of new calls. */
  readonly tos: number;
  /** Option sip-source: use the SIP source address unless told to trust the SDP. */
  readonly sipSource: boolean;
  /** Option reject-invalid-sdp: refuse what would else be repaired. */
  readonly rejectInvalidSdp: boolean;
  readonly redisHostedDb: number;
  /** The certificate of new DTLS associations. @throws Error: none can be made */
  readonly dtlsIdentity: () => DtlsIdentity;
  /** Option dtls-passive: the other side begins the handshake, where it leaves us the choice. */
  readonly dtlsPassive: boolean;
}
