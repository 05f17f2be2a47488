/** Opens what tells others by itself, when the configuration wants it. What is not asked for is not loaded. */
import { ConfigError, type Config } from '../config/config.js';
import type { MqttConfig } from '../config/telemetry.js';
import type { MediaRelay } from '../media/relay.js';
import { nativeProcess } from '../native/process.js';
import type { Counters } from '../observe/counters.js';
import type { Log } from '../observe/log.js';
import { facilityNumber, SyslogConnection } from '../observe/log-sinks.js';
import type { ReadGauges } from '../observe/statistics.js';
import type { CallService } from './calls/call-service.js';
import type { Clock } from './clocks.js';
import type { Exports } from './exports/exports.js';

export interface OpenExportsOptions {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly gauges: ReadGauges;
  readonly calls: CallService;
  readonly relay: MediaRelay;
}

/** null: nobody is to be told anything. */
export async function openExports(options: OpenExportsOptions): Promise<Exports | null> {
  const { config, log, clock, counters, gauges, calls, relay } = options;
  const { Exports, exportsAnything, wantsRtcp } = await import('./exports/exports.js');
  if (!exportsAnything(config.telemetry)) return null;
  const { table } = calls;
  const { mqtt } = config.telemetry;
  const exports = new Exports({
    ...{ config: config.telemetry, log, counters, gauges },
    mqtt: mqtt === null ? null : await openMqtt(options, mqtt),
    families: () => table.tally.families,
    localAddressOf: table.localAddressOf,
    openSyslog: () =>
      new SyslogConnection({
        functions: nativeProcess(),
        path: '/dev/log',
        programName: config.log.programName,
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

/** @throws ConfigError when a certificate cannot be read. */
async function openMqtt(
  { log, clock, counters, gauges, calls }: OpenExportsOptions,
  config: MqttConfig,
): Promise<{ close(): void }> {
  const { MqttExport } = await import('./exports/mqtt.js');
  const { table } = calls;
  try {
    return await MqttExport.open({
      ...{ config, counters, gauges },
      calls: function* () {
        for (const callId of [...table.calls.keys()]) {
          const state = table.call(callId);
          // It may have ended since.
          if (state !== null) yield { state, statistics: table.statisticsOf(callId) };
        }
      },
      localAddressOf: table.localAddressOf,
      offsetMicros: () => clock.wallOffsetMicros(),
      onNotice: (message) => log.warning('core', message),
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError('bad-value', 'mqtt-host', `MQTT cannot be used: ${why}`);
  }
}
