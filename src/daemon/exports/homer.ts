/** Captures for Homer by HEP3, over UDP or TCP. */
import { createSocket, type Socket } from 'node:dgram';
import type { HomerConfig } from '../../config/telemetry.js';
import type { Endpoint } from '../../media/call-state.js';
import { hepPacket, type HepCapture } from '../../observe/hep.js';
import { TcpLine } from './tcp-line.js';

const timeoutMs = 10_000;
const maxWaiting = 1 << 20;
/** Captures on their way through the resolver and the socket. */
const maxUnderWay = 1000;

/** Type of payload: RTCP as JSON. */
export const hepRtcp = 5;

/** Thread: control. */
export class HomerExport {
  readonly #config: HomerConfig;
  readonly #line: TcpLine | null;
  readonly #socket: Socket | null;
  #underWay = 0;
  #failed = false;

  constructor(config: HomerConfig, onNotice: (message: string) => void) {
    this.#config = config;
    const to = { host: config.host, port: config.port };
    if (config.protocol === 'tcp') {
      this.#socket = null;
      this.#line = new TcpLine({ to, name: 'Homer', timeoutMs, maxWaiting, onNotice });
      return;
    }
    this.#line = null;
    this.#socket = createSocket(config.host.includes(':') ? 'udp6' : 'udp4');
    this.#socket.unref();
    this.#socket.on('error', (error) => this.#notice(onNotice, error));
  }

  #notice(onNotice: (message: string) => void, error: NodeJS.ErrnoException): void {
    if (!this.#failed) onNotice(`Homer at ${this.#config.host}: ${error.code ?? error.message}`);
    this.#failed = true;
  }

  /** RTCP that came from `source` to a port of ours. */
  send(capture: HepCapture): void {
    const packet = hepPacket(capture, this.#config.captureId);
    if (this.#line !== null) {
      this.#line.send(packet);
      return;
    }
    if (this.#underWay >= maxUnderWay) return;
    this.#underWay += 1;
    const { host, port } = this.#config;
    this.#socket?.send(packet, port, host, (error) => {
      this.#underWay -= 1;
      if (error !== null) this.#failed = true;
      else this.#failed = false;
    });
  }

  /** A command and its answer. `local`: where the command came to. */
  sendNg(
    callId: string,
    client: Endpoint,
    local: Endpoint,
    query: Buffer,
    reply: Buffer,
    atMicros: number,
  ): void {
    const common = { atMicros, callId, protocol: this.#config.ngProtocol };
    this.send({ ...common, source: client, destination: local, payload: query });
    this.send({ ...common, source: local, destination: client, payload: reply });
  }

  close(): void {
    this.#line?.close();
    this.#socket?.close();
  }
}
