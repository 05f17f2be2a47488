import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect } from 'chai';
import { NativeDatagramSocket } from '../../../../src/native/datagram-socket.js';
import {
  openUdpTransport,
  type OpenDatagramSocket,
  UdpBindError,
  type UdpTransport,
} from '../../../../src/ng-protocol/transports/udp.js';

/** Sends from a connected socket, which hears only the address it asked, as Kamailio does. */
async function ask(address: string, port: number, text: Buffer): Promise<Buffer> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  try {
    socket.connect(port, address);
    await once(socket, 'connect');
    const answer = once(socket, 'message');
    socket.send(text);
    const [message] = (await answer) as [Buffer];
    return message;
  } finally {
    socket.close();
  }
}

const openSocket: OpenDatagramSocket = (options) => new NativeDatagramSocket(options);

describe('UDP transport', () => {
  let transport: UdpTransport | null = null;
  const errors: Error[] = [];
  const open = (
    listen: readonly { address: string | null; port: number }[],
    tos = 0,
  ): UdpTransport => {
    transport = openUdpTransport({
      listen,
      openSocket,
      tos,
      receive: (datagram, source, reply) => {
        expect(source.port).to.be.greaterThan(0);
        reply(Buffer.concat([Buffer.from('re:'), datagram]));
        return 'command';
      },
      onError: (error) => errors.push(error),
    });
    return transport;
  };
  afterEach(() => {
    transport?.close();
    transport = null;
    errors.length = 0;
  });

  it('answers from the address that was asked, on every listener', async () => {
    const opened = open([
      { address: '127.0.0.1', port: 0 },
      { address: '127.0.0.2', port: 0 },
      { address: '::1', port: 0 },
    ]);
    expect(opened.addresses.map(({ address }) => address)).to.deep.equal([
      '127.0.0.1',
      '127.0.0.2',
      '::1',
    ]);
    for (const { address, port } of opened.addresses) {
      expect((await ask(address, port, Buffer.from(address))).toString()).to.equal(`re:${address}`);
    }
    expect(errors).to.deep.equal([]);
  });

  it('takes and gives large datagrams', async () => {
    const opened = open([{ address: '127.0.0.1', port: 0 }]);
    const large = Buffer.alloc(60_000, 'x');
    const answer = await ask('127.0.0.1', opened.addresses[0]?.port ?? 0, large);
    expect(answer).to.have.length(60_003);
  });

  it('listens on all addresses of both families when none is given', async () => {
    const opened = open([{ address: null, port: 0 }]);
    expect(opened.addresses.map(({ address }) => address)).to.include.members(['0.0.0.0', '::']);
    for (const { address, port } of opened.addresses) {
      const loopback = address === '::' ? '::1' : '127.0.0.1';
      expect((await ask(loopback, port, Buffer.from('x'))).toString()).to.equal('re:x');
    }
  });

  it('names the address that cannot be had and keeps none', () => {
    const first = open([{ address: '127.0.0.1', port: 0 }]);
    const port = first.addresses[0]?.port ?? 0;
    let error: unknown;
    try {
      open([
        { address: '127.0.0.3', port },
        { address: '127.0.0.1', port },
      ]);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).to.be.instanceOf(UdpBindError);
    expect(error).to.include({ code: 'EADDRINUSE', listen: `127.0.0.1:${port}` });
    const again = openUdpTransport({
      listen: [{ address: '127.0.0.3', port }],
      openSocket,
      receive: () => 'command',
      onError: () => undefined,
    });
    again.close();
  });

  it('reads and answers a burst that is larger than its batches', async () => {
    const opened = open([{ address: '127.0.0.1', port: 0 }]);
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    const answers = new Set<string>();
    socket.on('message', (message) => answers.add(message.toString()));
    for (let i = 0; i < 300; i++)
      socket.send(`${i} d1:`, opened.addresses[0]?.port ?? 0, '127.0.0.1');
    for (let tries = 0; tries < 400 && answers.size < 300; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    socket.close();
    expect(answers.size).to.equal(300);
    expect(answers.has('re:299 d1:')).to.equal(true);
  });

  it('reports a reply that comes after it was closed', async () => {
    let late: (bytes: Buffer) => void = () => undefined;
    const opened = openUdpTransport({
      listen: [{ address: '127.0.0.1', port: 0 }],
      openSocket,
      receive: (_datagram, _source, reply) => {
        late = reply;
        reply(Buffer.from('1'));
        return 'command';
      },
      onError: (error) => errors.push(error),
    });
    await ask('127.0.0.1', opened.addresses[0]?.port ?? 0, Buffer.from('x'));
    opened.close();
    late(Buffer.from('2'));
    expect(errors).to.have.length(1);
  });
});
