/** Opens what tells others by itself, when the configuration wants it. What is not asked for is not loaded. */
import type { Config } from '../config/config.js';
import type { Endpoint } from '../media/call-state.js';
import type { MediaRelay } from '../media/relay.js';
import { nativeProcess } from '../native/process.js';
import type { Counters } from '../observe/counters.js';
import type { Log } from '../observe/log.js';
import { facilityNumber, SyslogConnection } from '../observe/log-sinks.js';
import type { Gauges } from '../observe/statistics.js';
import type { CallService } from './calls/call-service.js';
import type { Clock } from './clocks.js';
import type { Exports } from './exports/exports.js';
import { familiesOf } from './families.js';

export interface OpenExportsOptions {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly gauges: () => Gauges;
  readonly calls: CallService;
  readonly relay: MediaRelay;
  readonly ngAddress: () => Endpoint;
}

/** null: nobody is to be told anything. */
export async function openExports(options: OpenExportsOptions): Promise<Exports | null> {
  const { config, log, clock, counters, gauges, calls, relay, ngAddress } = options;
  const { Exports, exportsAnything, wantsRtcp } = await import('./exports/exports.js');
  if (!exportsAnything(config.telemetry)) return null;
  const { table } = calls;
  const exports = new Exports({
    ...{ config: config.telemetry, log, counters, gauges, ngAddress },
    families: () => familiesOf(table.calls.values()),
    created: function* () {
      for (const { createdMicros } of table.calls.values()) yield createdMicros;
    },
    localAddressOf: table.localAddressOf,
    openSyslog: () =>
      new SyslogConnection({
        functions: nativeProcess(),
        path: '/dev/log',
        programName: config.log.programName,
        pid: process.pid,
        facility: facilityNumber(config.log.facility),
        nowMicros: () => clock.nowMicros() + clock.wallOffsetMicros(),
      }),
  });
  if (wantsRtcp(config.telemetry)) {
    relay.onRtcp((copies) => {
      const offset = clock.wallOffsetMicros();
      for (const copy of copies) exports.rtcp(copy, offset);
    });
  }
  return exports;
}
