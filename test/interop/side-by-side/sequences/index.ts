/** Every sequence that is sent to both daemons. */
import type { Sequence } from '../sequence.js';
import { addressSequences } from './addresses.js';
import { badBodySequences } from './bad-bodies.js';
import { bodySequences } from './bodies.js';
import { codecSequences } from './codecs.js';
import { deleteSequences } from './deletions.js';
import { dialogueSequences } from './dialogues.js';
import { liberalSequences } from './liberal.js';
import { learningSequences } from './learning.js';
import { protocolSequences } from './protocol.js';
import { rtcpMuxSequences } from './rtcp-mux.js';
import { restrictionSequences } from './restrictions.js';
import { sdesSequences } from './sdes.js';
import { subscriptionSequences } from './subscriptions.js';
import { trafficSequences } from './traffic.js';

export { familySequences, interfaceSequences } from './families.js';

export const sequences: readonly Sequence[] = [
  ...dialogueSequences,
  ...deleteSequences,
  ...bodySequences,
  ...rtcpMuxSequences,
  ...sdesSequences,
  ...addressSequences,
  ...restrictionSequences,
  ...subscriptionSequences,
  ...trafficSequences,
  ...learningSequences,
  ...protocolSequences,
  ...badBodySequences,
  ...liberalSequences,
  // 10.5 counts the transcoders that it gets ready: behind the sequence that compares statistics.
  ...codecSequences,
];
