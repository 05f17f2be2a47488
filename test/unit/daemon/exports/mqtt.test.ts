import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { MqttExport } from '../../../../src/daemon/exports/mqtt.js';
import { Counters } from '../../../../src/observe/counters.js';
import type { PublishedCall } from '../../../../src/observe/mqtt-message.js';
import { storedCall } from '../../../support/unit/calls.js';
import { noGauges } from '../../../support/unit/gauges.js';
import { costsOfTurns } from '../../../support/unit/turns.js';
import { until } from '../../../support/wait.js';

const connected = Buffer.from([0x20, 0x02, 0x00, 0x00]);
const calls = 10_000;

/** Takes what is published and answers nothing. */
class Broker {
  readonly #sockets = new Set<Socket>();
  readonly server = createServer((socket) => {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(connected));
    socket.on('data', (bytes) => {
      this.received += bytes.length;
      this.last = bytes;
    });
  });
  received = 0;
  last: Buffer = Buffer.alloc(0);

  async listen(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
  }
}

describe('what is published by MQTT of many calls', function () {
  this.timeout(60_000);

  it('is made in slices, one message of all of them, too', async () => {
    const broker = new Broker();
    const port = await broker.listen();
    const state = storedCall();
    let rounds = 0;
    const all = function* (): Generator<PublishedCall> {
      rounds += 1;
      for (let at = 0; at < calls; at += 1)
        yield {
          state: { ...state, callId: `call-${at}` },
          statistics: { streams: [], ssrcs: [] },
        };
    };
    const published = await MqttExport.open({
      config: {
        ...{ host: '127.0.0.1', port, clientId: 'c', keepaliveSeconds: 60, topic: 't', qos: 0 },
        ...{ username: null, password: null, caFile: null, certFile: null, keyFile: null },
        ...{ alpn: null, intervalMs: 5, scope: 'global' },
      },
      counters: new Counters(0),
      gauges: () => noGauges,
      calls: all,
      localAddressOf: () => '127.0.0.1',
      offsetMicros: () => 0,
      onNotice: () => undefined,
    });
    try {
      /** From one message to the next. */
      const oneRound = async (): Promise<void> => {
        const before = rounds;
        while (rounds < before + 2) await new Promise((resolve) => setImmediate(resolve));
      };
      const { longest, total } = await costsOfTurns(oneRound);
      expect(longest).to.be.below(total / 24);
      expect(broker.received).to.be.above(calls * 100);
      await until(() => broker.last.toString('latin1').endsWith(']}'), 'a whole message');
    } finally {
      published.close();
      broker.close();
    }
  });
});
