import type { Gauges } from '../../../src/observe/statistics.js';

/** Of a node that has nothing. */
export const noGauges: Gauges = {
  ...{ nowMicros: 0, ownSessions: 0, foreignSessions: 0, userspaceStreams: 0, kernelStreams: 0 },
  ...{ packetRate: 0, byteRate: 0, errorRate: 0 },
  ...{ relayedPackets: 0, relayedBytes: 0, relayedErrors: 0 },
  kernel: { packetRate: 0, byteRate: 0, packets: 0, bytes: 0 },
  interfaces: [],
};
