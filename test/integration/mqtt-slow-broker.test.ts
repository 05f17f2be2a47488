/** A broker that takes what is published and confirms none of it. */
import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { MediaDaemon } from '../support/daemons.js';
import { audio, buildSdp } from '../support/sdp.js';
import { until } from '../support/wait.js';

const connected = Buffer.from([0x20, 0x02, 0x00, 0x00]);
const room = 16 * 1024 * 1024;

describe('a slow MQTT broker', function () {
  this.timeout(120_000);

  it('gets no more than there is room for, and the log says so', async () => {
    let received = 0;
    const sockets = new Set<Socket>();
    const broker = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write(connected));
      socket.on('data', (bytes) => (received += bytes.length));
    });
    broker.listen(0, '127.0.0.1');
    await once(broker, 'listening');
    const daemon = await MediaDaemon.start('rtprelayd', {
      mediaPorts: 4000,
      extra: [
        ...['--mqtt-host=127.0.0.1', `--mqtt-port=${(broker.address() as AddressInfo).port}`],
        ...['--mqtt-publish-topic=t', '--mqtt-publish-qos=1'],
        ...['--mqtt-publish-scope=global', '--mqtt-publish-interval=100'],
      ],
    });
    const ng = daemon.client();
    try {
      const sdp = buildSdp({
        address: '127.0.0.1',
        media: Array.from({ length: 20 }, (_, at) => audio(6000 + 2 * at)),
      });
      for (let i = 0; i < 40; i += 1)
        await ng.ask({ command: 'offer', 'call-id': `c${i}`, 'from-tag': 'a', sdp });
      const isTold = (): boolean =>
        daemon.process.log().includes('is too slow: messages are dropped');
      await until(isTold, 'that it is too slow', 90_000);
      // By bytes, long before there are a thousand messages; what was under way has come.
      await until(() => received > room / 2, 'what was under way', 30_000);
      const before = received;
      expect(before).to.be.at.most(room * 1.01);
      expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
    } finally {
      ng.close();
      await daemon.stop();
      for (const socket of sockets) socket.destroy();
      broker.close();
    }
  });
});
