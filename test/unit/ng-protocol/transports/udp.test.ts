import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect } from 'chai';
import {
  openUdpTransport,
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

describe('UDP transport', () => {
  let transport: UdpTransport | null = null;
  const errors: Error[] = [];
  const open = async (
    listen: readonly { address: string | null; port: number }[],
    setTos?: (fd: number, isIpv6: boolean) => void,
  ): Promise<UdpTransport> => {
    transport = await openUdpTransport({
      listen,
      receive: (datagram, source, reply) => {
        expect(source.port).to.be.greaterThan(0);
        reply(Buffer.concat([Buffer.from('re:'), datagram]));
      },
      onError: (error) => errors.push(error),
      ...(setTos === undefined ? {} : { setTos }),
    });
    return transport;
  };
  afterEach(async () => {
    await transport?.close();
    transport = null;
    errors.length = 0;
  });

  it('answers from the address that was asked, on every listener', async () => {
    const opened = await open([
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
    const opened = await open([{ address: '127.0.0.1', port: 0 }]);
    const large = Buffer.alloc(60_000, 'x');
    const answer = await ask('127.0.0.1', opened.addresses[0]?.port ?? 0, large);
    expect(answer).to.have.length(60_003);
  });

  it('listens on all addresses of both families when none is given', async () => {
    const opened = await open([{ address: null, port: 0 }]);
    expect(opened.addresses.map(({ address }) => address)).to.include.members(['0.0.0.0', '::']);
    for (const { address, port } of opened.addresses) {
      const loopback = address === '::' ? '::1' : '127.0.0.1';
      expect((await ask(loopback, port, Buffer.from('x'))).toString()).to.equal('re:x');
    }
  });

  it('names the address that cannot be had and keeps none', async () => {
    const first = await open([{ address: '127.0.0.1', port: 0 }]);
    const port = first.addresses[0]?.port ?? 0;
    let error: unknown;
    await open([
      { address: '127.0.0.3', port },
      { address: '127.0.0.1', port },
    ]).catch((thrown: unknown) => (error = thrown));
    expect(error).to.be.instanceOf(UdpBindError);
    expect(error).to.include({ code: 'EADDRINUSE', listen: `127.0.0.1:${port}` });
    const again = await openUdpTransport({
      listen: [{ address: '127.0.0.3', port }],
      receive: () => undefined,
      onError: () => undefined,
    });
    await again.close();
  });

  it('hands the descriptor of each socket to setTos', async () => {
    const descriptors: number[] = [];
    await open(
      [
        { address: '127.0.0.1', port: 0 },
        { address: '::1', port: 0 },
      ],
      (fd) => descriptors.push(fd),
    );
    expect(descriptors).to.have.length(2);
    expect(new Set(descriptors).size).to.equal(2);
    for (const fd of descriptors) expect(fd).to.be.greaterThan(2);
  });

  it('reports a reply that comes after it was closed', async () => {
    let late: (bytes: Buffer) => void = () => undefined;
    const opened = await openUdpTransport({
      listen: [{ address: '127.0.0.1', port: 0 }],
      receive: (_datagram, _source, reply) => {
        late = reply;
        reply(Buffer.from('1'));
      },
      onError: (error) => errors.push(error),
    });
    await ask('127.0.0.1', opened.addresses[0]?.port ?? 0, Buffer.from('x'));
    await opened.close();
    late(Buffer.from('2'));
    expect(errors).to.have.length(1);
  });
});
