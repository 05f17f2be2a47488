/** What the daemon tells others by itself: Graphite, Homer, XML-RPC, MQTT, call and RTCP records. */
import type { TelemetryConfig } from '../../config/telemetry.js';
import type { CallState, Endpoint, LocalSocket } from '../../media/call-state.js';
import type { CallStatistics, RtcpCopy } from '../../media/relay.js';
import type { NgSource } from '../../ng-protocol/endpoint.js';
import { cdrLine } from '../../observe/cdr.js';
import type { CloseReason, Counters } from '../../observe/counters.js';
import { GraphiteReport, type Families } from '../../observe/graphite.js';
import type { Log } from '../../observe/log.js';
import { facilityNumber, type Syslog } from '../../observe/log-sinks.js';
import { printable } from '../../observe/printable.js';
import { rtcpJson, rtcpLine } from '../../observe/rtcp-text.js';
import type { ReadGauges } from '../../observe/statistics.js';
import { DatagramReceiver } from './datagram-receiver.js';
import { HomerExport, hepRtcp } from './homer.js';
import { TcpLine } from './tcp-line.js';
import { postXml, XmlRpcNotices } from './xml-rpc.js';

export interface ExportsOptions {
  readonly config: TelemetryConfig;
  readonly log: Log;
  readonly counters: Counters;
  readonly gauges: ReadGauges;
  readonly families: () => Families;
  readonly localAddressOf: (socket: LocalSocket) => string;
  /** The system log, for records of their own facility. */
  readonly openSyslog: () => Syslog;
  /** What publishes by itself; null: nothing. It is closed with the rest. */
  readonly mqtt: { close(): void } | null;
}

/** A call at its end; moments are those of the wall clock. */
export interface EndedCallRecord {
  readonly state: CallState;
  readonly statistics: CallStatistics;
  readonly reason: CloseReason;
  readonly endedMicros: number;
}

const infoLevel = 6;
const graphiteTimeoutMs = 10_000;
const maxGraphiteWaiting = 1 << 20;

const noAddress: Endpoint = { address: '0.0.0.0', port: 0 };

const timeouts: ReadonlySet<CloseReason> = new Set([
  'timeout',
  'silent-timeout',
  'final-timeout',
  'offer-timeout',
]);

/** Thread: control. Owns its connections until `close`. */
export class Exports {
  readonly #options: ExportsOptions;
  readonly #homer: HomerExport | null;
  readonly #xmlRpc: XmlRpcNotices | null;
  readonly #digits: DatagramReceiver | null;
  readonly #syslog: Syslog | null;
  readonly #graphite: { readonly line: TcpLine; readonly report: GraphiteReport } | null;
  #seconds = 0;

  constructor(options: ExportsOptions) {
    this.#options = options;
    const { config, log } = options;
    const onNotice = (message: string): void => log.warning('core', message);
    this.#homer = config.homer === null ? null : new HomerExport(config.homer, onNotice);
    this.#xmlRpc =
      config.xmlRpc === null
        ? null
        : new XmlRpcNotices({
            config: config.xmlRpc,
            post: postXml,
            onInfo: (message, callId) => log.info('core', message, callId),
            onWarning: (message, callId) => log.warning('core', message, callId),
          });
    const { cdrFacility, rtcpFacility, digits } = config;
    const records = [cdrFacility, rtcpFacility, digits?.facility ?? null].some((f) => f !== null);
    const digitsTo = digits?.to ?? null;
    this.#digits =
      digitsTo === null ? null : new DatagramReceiver(digitsTo, 'DTMF events', onNotice);
    this.#syslog = records ? options.openSyslog() : null;
    this.#graphite = this.#openGraphite(onNotice);
  }

  #openGraphite(onNotice: (message: string) => void): {
    readonly line: TcpLine;
    readonly report: GraphiteReport;
  } | null {
    const { graphite } = this.#options.config;
    if (graphite === null) return null;
    const { host, port, timeoutSeconds, prefix } = graphite;
    const line = new TcpLine({
      ...{ to: { host, port }, name: 'Graphite', onNotice, maxWaiting: maxGraphiteWaiting },
      timeoutMs: timeoutSeconds === 0 ? graphiteTimeoutMs : timeoutSeconds * 1000,
    });
    return { line, report: new GraphiteReport(prefix) };
  }

  everySecond(): void {
    const { config, counters, gauges, families } = this.#options;
    if (this.#graphite === null || config.graphite === null) return;
    counters.interval.everySecond();
    this.#seconds += 1;
    if (this.#seconds % config.graphite.intervalSeconds !== 0) return;
    const now = gauges();
    const report = counters.interval.take(now.nowMicros);
    this.#graphite.line.send(this.#graphite.report.text(counters, now, report, families()));
  }

  /** Whether anybody is told of calls that end. */
  get takesEndedCalls(): boolean {
    return this.#xmlRpc !== null || this.#options.config.cdrFacility !== null;
  }

  callEnded({ state, statistics, reason, endedMicros }: EndedCallRecord): void {
    const { config, localAddressOf } = this.#options;
    if (timeouts.has(reason)) this.#xmlRpc?.timedOut(state);
    if (config.cdrFacility === null) return;
    const line = cdrLine(state, statistics, { reason, endedMicros, localAddressOf });
    this.#record(config.cdrFacility, line);
  }

  /** A digit was dialled, as JSON. */
  digit(json: string): void {
    const facility = this.#options.config.digits?.facility ?? null;
    if (facility !== null) this.#record(facility, json);
    this.#digits?.send(Buffer.from(json, 'latin1'));
  }

  rtcp(event: RtcpCopy, offsetMicros: number): void {
    const { config } = this.#options;
    const { callId, bytes, source, local } = event;
    if (config.rtcpFacility !== null) {
      const line = rtcpLine(callId, bytes);
      if (line !== null) this.#record(config.rtcpFacility, line);
    }
    if (this.#homer === null || config.homer?.rtcp !== true) return;
    const json = rtcpJson(bytes);
    if (json === null) return;
    const atMicros = event.atMicros + offsetMicros;
    const common = { protocol: hepRtcp, callId, atMicros, payload: Buffer.from(json, 'latin1') };
    this.#homer.send({ ...common, source, destination: local });
  }

  /** A command was answered. */
  ngAnswered(
    callId: string,
    source: NgSource,
    query: Buffer,
    reply: Buffer,
    atMicros: number,
  ): void {
    const { local } = source;
    // A Unix socket has no address.
    const [client, to] = local === undefined ? [noAddress, noAddress] : [source, local];
    this.#homer?.sendNg(callId, client, to, query, reply, atMicros);
  }

  #record(facility: string, line: string): void {
    this.#syslog?.send(facilityNumber(facility) * 8 + infoLevel, printable(line));
  }

  close(): void {
    this.#options.mqtt?.close();
    this.#graphite?.line.close();
    this.#homer?.close();
    this.#digits?.close();
    this.#xmlRpc?.close();
    this.#syslog?.close();
  }
}

/** Whether anything of it needs the RTCP that comes. */
export const wantsRtcp = ({ homer, rtcpFacility }: TelemetryConfig): boolean =>
  rtcpFacility !== null || homer?.rtcp === true;

/** Whether anything is to be told to anybody. */
export const exportsAnything = (config: TelemetryConfig): boolean =>
  Object.values(config).some((value) => value !== null);
