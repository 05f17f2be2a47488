/** An NG client over a Unix socket, which reaches a daemon in another network namespace. */
import { connect } from 'node:net';
import { decodeBencode, encodeBencode, type NgDictionary } from './bencode.js';
import type { Reply } from './ng-client.js';
import { until } from './wait.js';

/** One connection for each request. */
export class UnixNgClient {
  constructor(readonly path: string) {}

  async request(dictionary: NgDictionary): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      const socket = connect({ path: this.path }, () => socket.write(encodeBencode(dictionary)));
      socket.setTimeout(30_000, () => socket.destroy(new Error('no reply')));
      socket.on('error', reject);
      socket.on('data', (chunk) => {
        chunks.push(chunk);
        const reply = complete(Buffer.concat(chunks));
        if (reply === null) return;
        socket.end();
        resolve(reply);
      });
    });
  }

  /** Waits until the daemon answers. */
  async untilPong(): Promise<void> {
    const pong = async (): Promise<boolean> => {
      try {
        return (await this.request({ command: 'ping' }))['result'] === 'pong';
      } catch {
        return false; // It has not opened its socket yet.
      }
    };
    await until(pong, 'a pong', 20_000);
  }
}

function complete(bytes: Buffer): Reply | null {
  try {
    return decodeBencode(bytes);
  } catch {
    return null; // There is more to come.
  }
}
