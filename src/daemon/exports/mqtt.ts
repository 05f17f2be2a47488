/** Publishes statistics by MQTT. The client library is loaded only when it is asked for. */
import { readFileSync } from 'node:fs';
import type { IClientOptions, MqttClient } from 'mqtt';
import type { MqttConfig } from '../../config/telemetry.js';
import type { Counters } from '../../observe/counters.js';
import {
  callMembers,
  callMessage,
  countedCall,
  globalMessage,
  mediaMessages,
  type CountedCall,
  type Json,
  type PublishContext,
  type PublishedCall,
} from '../../observe/mqtt-message.js';
import { InterfaceIntervals } from '../../observe/interface-intervals.js';
import { inSlices, joinInSlices } from '../../media/slices.js';
import { printableJson } from '../../observe/printable.js';
import type { ReadGauges } from '../../observe/statistics.js';
import { OutgoingLimit } from './outgoing-limit.js';

export interface MqttExportOptions {
  readonly config: MqttConfig;
  readonly counters: Counters;
  readonly gauges: ReadGauges;
  /** Own and foreign calls, read as they are asked for. */
  readonly calls: () => Iterable<PublishedCall>;
  readonly localAddressOf: PublishContext['localAddressOf'];
  /** Wall clock minus the clock of the calls' moments, µs. */
  readonly offsetMicros: () => number;
  readonly onNotice: (message: string) => void;
}

const connectTimeoutMs = 10_000;
const reconnectMs = 2_000;
const comma = Buffer.from(',');
/** What the broker has not taken yet. */
const outgoing = { messages: 1_000, bytes: 16 * 1024 * 1024 };

function clientOptions(config: MqttConfig): IClientOptions {
  const { host, port, clientId, username, password, caFile, certFile, keyFile, alpn } = config;
  const secure = caFile !== null || certFile !== null;
  return {
    ...{ host, port, protocol: secure ? 'mqtts' : 'mqtt', protocolVersion: 4, clean: true },
    ...{ keepalive: config.keepaliveSeconds, connectTimeout: connectTimeoutMs },
    ...{ reconnectPeriod: reconnectMs, queueQoSZero: false, resubscribe: false },
    ...(clientId === null ? {} : { clientId }),
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(caFile === null ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === null ? {} : { cert: readFileSync(certFile) }),
    ...(certFile === null ? {} : { key: readFileSync(keyFile ?? certFile) }),
    ...(alpn === null ? {} : { ALPNProtocols: [alpn] }),
  };
}

/** A message as it is sent. */
const bytesOf = (message: Json): Buffer =>
  Buffer.from(printableJson(JSON.stringify(message)), 'latin1');

/** An object's bytes with a last member `calls`; put together in slices. */
async function withCalls(object: Buffer, calls: readonly Buffer[]): Promise<Buffer> {
  const parts = [object.subarray(0, -1), Buffer.from(',"calls":[')];
  for (const [at, call] of calls.entries()) {
    if (at > 0) parts.push(comma);
    parts.push(call);
  }
  parts.push(Buffer.from(']}'));
  return joinInSlices(parts);
}

/** Thread: control. Owns its connection and timer until `close`. */
export class MqttExport {
  readonly #options: MqttExportOptions;
  readonly #client: MqttClient;
  readonly #timer: NodeJS.Timeout;
  #before = new Map<string, CountedCall>();
  readonly #intervals = new InterfaceIntervals();
  readonly #outgoing: OutgoingLimit;
  #isDown = false;
  #publishing = false;
  #closed = false;

  private constructor(options: MqttExportOptions, client: MqttClient) {
    this.#options = options;
    this.#client = client;
    this.#outgoing = new OutgoingLimit(`MQTT broker ${this.#peer}`, outgoing, options.onNotice);
    client.on('connect', () => {
      if (this.#isDown) options.onNotice(`MQTT broker ${this.#peer} is back`);
      this.#isDown = false;
    });
    client.on('error', (error: Error & { readonly code?: unknown }) => {
      this.#down(typeof error.code === 'string' ? error.code : error.message);
    });
    client.on('close', () => {
      if (!this.#closed) this.#down('the connection was lost');
    });
    this.#timer = setInterval(() => void this.#publish(), options.config.intervalMs);
    this.#timer.unref();
  }

  /** @throws Error when a certificate cannot be read. */
  static async open(options: MqttExportOptions): Promise<MqttExport> {
    const { connect } = await import('mqtt');
    return new MqttExport(options, connect(clientOptions(options.config)));
  }

  get #peer(): string {
    return `${this.#options.config.host}:${this.#options.config.port}`;
  }

  /** Said once until it is back. */
  #down(why: string): void {
    if (!this.#isDown) this.#options.onNotice(`MQTT broker ${this.#peer}: ${why}`);
    this.#isDown = true;
  }

  async #publish(): Promise<void> {
    if (!this.#client.connected || this.#publishing) return;
    this.#publishing = true;
    try {
      await this.#publishAll();
    } catch (error) {
      this.#options.onNotice(`MQTT: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.#publishing = false;
    }
  }

  async #publishAll(): Promise<void> {
    const { config, counters, gauges, calls, localAddressOf, offsetMicros } = this.#options;
    const offset = offsetMicros();
    const nowMicros = gauges().nowMicros + offset;
    const known = this.#before;
    const context: PublishContext = {
      ...{ nowMicros, offsetMicros: offset, localAddressOf, intervals: this.#intervals },
      before: (callId) => known.get(callId) ?? null,
    };
    const next = new Map<string, CountedCall>();
    const { scope } = config;
    const all: Buffer[] = [];
    // What is not published is not read.
    await inSlices(scope === 'summary' ? [] : calls(), (call) => {
      if (scope === 'global') all.push(bytesOf(callMembers(call, context)));
      if (scope === 'call') this.#send(bytesOf(callMessage(call, context)));
      if (scope === 'media')
        for (const each of mediaMessages(call, context)) this.#send(bytesOf(each));
      next.set(call.state.callId, countedCall(call, context));
    });
    // The statistics of the whole node come in any case (10.5 seen).
    const whole = bytesOf(globalMessage(counters, gauges(), context));
    this.#send(scope === 'global' ? await withCalls(whole, all) : whole);
    this.#before = next;
  }

  #send(payload: Buffer): void {
    const { config } = this.#options;
    const taken = this.#outgoing.take(payload.length);
    if (taken !== null) this.#client.publish(config.topic, payload, { qos: config.qos }, taken);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#client.end(true);
  }
}
