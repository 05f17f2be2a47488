/** A receiver of figures over TCP that does not read: it costs figures, and neither time nor memory. */
import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { TcpLine } from '../../../../src/daemon/exports/tcp-line.js';
import { until } from '../../../support/wait.js';

describe('a receiver over TCP that stops reading', () => {
  it('is said once to be too slow, is sent no more than may wait, and goes on when it reads again', async () => {
    const server = createServer({ pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const notices: string[] = [];
    const line = new TcpLine({
      to: { host: '127.0.0.1', port },
      name: 'Homer',
      ...{ timeoutMs: 60_000, maxWaiting: 100_000 },
      onNotice: (message) => notices.push(message),
    });
    const part = Buffer.alloc(10_000, 0x61);
    try {
      const connected = once(server, 'connection') as Promise<[Socket]>;
      line.send(part);
      const [socket] = await connected;
      let received = 0;
      // More than sockets hold; the rest is dropped before it is kept.
      for (let i = 0; i < 5000; i += 1) {
        line.send(part);
        if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      const slow = `Homer at 127.0.0.1:${port} is too slow: reports are dropped`;
      expect(notices).to.deep.equal([slow]);
      socket.on('data', (bytes: Buffer) => (received += bytes.length));
      socket.resume();
      await until(() => received > 0 && socket.readableLength === 0, 'what waited');
      expect(received).to.be.lessThan(5000 * part.length);
      const before = received;
      await until(() => {
        line.send('more');
        return received > before;
      }, 'what comes later');
      expect(notices).to.deep.equal([slow]);
    } finally {
      line.close();
      server.close();
    }
  });
});
