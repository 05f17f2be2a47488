/** NG, CLI and metrics by every way into the daemon: TCP, Unix sockets, HTTP, HTTPS, WebSocket. */
import { expect } from 'chai';
import { once } from 'node:events';
import { request as httpsRequest } from 'node:https';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import { encodeBencode } from '../support/bencode.js';
import { CertificateAuthority } from '../support/certificates.js';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, decodeReply, NgClient } from '../support/ng-client.js';
import { pause, until } from '../support/wait.js';

const ngType = 'application/x-rtpengine-ng';
const ping = 'd7:command4:pinge';

/** Requests that somebody sends without waiting for an answer. */
const flood = 200;

type Where = { host: string; port: number } | { path: string };

/** Everything that comes on a connection, as text. */
class Connection {
  text = '';
  ended = false;
  readonly socket: Socket;

  constructor(where: Where) {
    this.socket = connect({ ...where, allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => (this.text += chunk.toString('latin1')));
    this.socket.on('end', () => (this.ended = true));
    this.socket.on('close', () => (this.ended = true));
    this.socket.on('error', () => (this.ended = true));
  }

  async until(text: string): Promise<void> {
    await until(() => this.text.includes(text), `'${text}' in '${this.text}'`);
  }
}

const offer = (callId: string): Buffer =>
  encodeBencode({ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: audioSdp(9000) });

describe('the control listeners', function () {
  this.timeout(60_000);
  const folder = new TemporaryFolder('listeners');
  const unixPath = folder.file('ng.sock');
  let daemon: MediaDaemon;
  let [tcp, http, https]: readonly number[] = [];
  let authority: CertificateAuthority;
  const connections: Connection[] = [];

  const open = (where?: { path: string }): Connection => {
    const connection = new Connection(where ?? { host: '127.0.0.1', port: tcp ?? 0 });
    connections.push(connection);
    return connection;
  };
  const url = (path: string): string => `http://127.0.0.1:${http ?? 0}${path}`;
  const post = (path: string, type: string, body: string | Buffer): Promise<Response> =>
    fetch(url(path), { method: 'POST', headers: { 'content-type': type }, body });

  before(async () => {
    authority = new CertificateAuthority('listeners');
    const { cert, key } = authority.issue('relay', 'IP:127.0.0.1');
    [tcp, http, https] = [freeTcpPort(), freeTcpPort(), freeTcpPort()];
    daemon = await MediaDaemon.start('rtprelayd', {
      extra: [
        ...[`--listen-ng=unix:${unixPath}`, `--listen-tcp-ng=127.0.0.1:${tcp}`],
        ...[`--listen-http=127.0.0.1:${http}`, `--listen-https=127.0.0.1:${https}`],
        ...[`--https-cert=${cert}`, `--https-key=${key}`, '--control-allow=127.0.0.0/8'],
      ],
    });
  });
  afterEach(() => {
    for (const { socket } of connections.splice(0)) socket.destroy();
  });
  after(async () => {
    await daemon?.stop();
    folder.remove();
  });

  describe('over TCP', () => {
    it('answer messages one behind the other, cut anywhere', async () => {
      const connection = open();
      const stream = Buffer.from(`a ${ping}b {"command":"ping"}c ${ping}`);
      for (const byte of stream) {
        connection.socket.write(Buffer.from([byte]));
        await pause(1);
      }
      await connection.until('c d6:result4:ponge');
      expect(connection.text).to.equal('a d6:result4:pongeb {"result":"pong"}c d6:result4:ponge');
    });

    it('answer what was asked before the client closed its side', async () => {
      const connection = open();
      connection.socket.end(Buffer.concat([Buffer.from('x '), offer('half-closed')]));
      await until(() => connection.ended, 'the end');
      expect(connection.text).to.match(/^x d3:sdp.*6:result2:oke$/s);
    });

    it('end what is no NG, and nothing else', async () => {
      const [good, bad] = [open(), open()];
      bad.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await until(() => bad.ended, 'the end of the bad one');
      good.socket.write(`g ${ping}`);
      await good.until('g d6:result4:ponge');
      // Not each one is told of where several come within a second.
      let isSaid = false;
      const said = daemon.process
        .untilLogged('closed: no bencode dictionary')
        .finally(() => (isSaid = true));
      while (!isSaid) {
        const again = open();
        again.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        await until(() => again.ended, 'the end of another bad one');
        await pause(200);
      }
      await said;
    });

    it('carry replies that no datagram holds, whole', async () => {
      const connection = open();
      const sections = Array.from({ length: 60 }, (_, n) => `m=audio ${9000 + 2 * n} RTP/AVP 8`);
      const head = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n';
      const sdp = `${head}${sections.map((line) => `${line}\r\n`).join('')}`;
      const message = (command: string, more: object): Buffer =>
        encodeBencode({ command, 'call-id': 'large', 'from-tag': 'a', ...more });
      const send = (cookie: string, body: Buffer): void => {
        connection.socket.write(Buffer.concat([Buffer.from(`${cookie} `), body]));
      };
      send('o', message('offer', { sdp }));
      send('a', message('answer', { sdp, 'to-tag': 'b' }));
      await connection.until('a d3:sdp');
      connection.text = '';
      send('q', message('query', {}));
      await until(() => /^.*q d.*6:result2:oke$/s.test(connection.text), 'the whole reply');
      const reply = connection.text.slice(connection.text.indexOf('q d') + 2);
      expect(reply.length).to.be.greaterThan(65_535);
      expect(decodeReply(Buffer.from(reply, 'latin1'))['warning']).to.equal(undefined);
    });

    it('let nobody starve the others: clients that do not finish, do not read, or are many', async () => {
      const idle = Array.from({ length: 200 }, () => open());
      await until(() => idle.every(({ socket }) => !socket.connecting), 'two hundred connections');
      for (const { socket } of idle) socket.write('7 d7:comm');
      const ng = daemon.client();
      const other = open();
      other.socket.write(`8 ${ping}`);
      await other.until('8 d6:result4:ponge');
      expect((await ng.request({ command: 'ping' }))['result']).to.equal('pong');
      ng.close();
    });
  });

  it('over a Unix socket speak as Kamailio does there: no cookie, and with one as elsewhere', async () => {
    const bare = open({ path: unixPath });
    bare.socket.write(ping);
    await bare.until('d6:result4:ponge');
    bare.socket.write(`k_1 ${ping}`);
    await bare.until('k_1 d6:result4:ponge');
    expect(bare.text).to.equal('d6:result4:pongek_1 d6:result4:ponge');
  });

  describe('over HTTP', () => {
    it('serve the paths of rtpengine', async () => {
      expect(await (await fetch(url('/ping'))).text()).to.equal('pong\n');
      expect((await fetch(url('/live'))).status).to.equal(200);
      expect((await fetch(url('/ready'))).status).to.equal(200);
      const reply = await post('/ng', ngType, `h1 ${ping}`);
      expect(reply.headers.get('content-type')).to.equal(ngType);
      expect(await reply.text()).to.equal('h1 d6:result4:ponge');
      expect(await (await post('/ng-plain', ngType, ping)).text()).to.equal('d6:result4:ponge');
      const plain = await post('/ng-plain', 'application/json', '{"command":"ping"}');
      expect(plain.headers.get('content-type')).to.equal('application/json');
      expect(await plain.text()).to.equal('{"result":"pong"}');
      for (const path of ['/cli/list+numsessions', '/cli/list%20numsessions']) {
        expect(await (await fetch(url(path))).text(), path).to.include('Current sessions own');
      }
      const cli = await post('/cli', 'text/plain', 'list numsessions\n');
      expect(await cli.text()).to.include('Current sessions own');
    });

    it('refuse the rest by the status that says why', async () => {
      const statuses = async (
        ...replies: readonly Promise<Response>[]
      ): Promise<readonly number[]> => (await Promise.all(replies)).map(({ status }) => status);
      expect(
        await statuses(
          fetch(url('/')),
          fetch(url('/ng')),
          post('/elsewhere', 'text/plain', 'x'),
          post('/ng', 'text/html', 'x'),
          post('/ng', ngType, 'nocookie'),
          post('/ng-plain', ngType, Buffer.alloc(1_100_000)),
          fetch(url('/cli/%zz')),
          fetch(url('/ping'), { method: 'DELETE' }),
          fetch(url('/cli/list+totals'), { headers: { origin: 'http://elsewhere.example' } }),
        ),
      ).to.deep.equal([404, 404, 404, 415, 400, 413, 400, 405, 403]);
    });

    it('refuse a body that is said to be too long before it comes', async () => {
      const socket = connect(http ?? 0, '127.0.0.1');
      let heard = '';
      socket.on('data', (bytes: Buffer) => (heard += bytes.toString('latin1')));
      const head = `POST /ng HTTP/1.1\r\nhost: x\r\ncontent-type: ${ngType}\r\n`;
      socket.write(`${head}content-length: 3000000\r\n\r\n1 `);
      // Without it the request would end with 408 after ten seconds.
      await until(() => heard.includes('\r\n'), 'an answer');
      expect(heard).to.match(/^HTTP\/1\.1 413 /);
      socket.destroy();
    });

    it('run no command that changes something for an image in a page of another site', async () => {
      const agent = 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/153.0';
      const asked = async (path: string, headers: Record<string, string>): Promise<number> =>
        (await fetch(url(path), { headers: { 'user-agent': agent, ...headers } })).status;
      const change = '/cli/set+silenttimeout+3599';
      // As it is fetched from an address that is neither loopback nor HTTPS, and with what is said to those.
      expect(await asked(change, {})).to.equal(403);
      expect(await asked(change, { referer: 'http://elsewhere.example/' })).to.equal(403);
      expect(await asked(change, { 'sec-fetch-site': 'cross-site' })).to.equal(403);
      expect(await (await fetch(url('/cli/list+silenttimeout'))).text()).to.not.include('3599');
      expect(await asked('/cli/list+totals', { 'sec-fetch-site': 'cross-site' })).to.equal(200);
      expect(await asked(change, { 'sec-fetch-site': 'none' })).to.equal(200);
      expect(await asked(change, { referer: url('/live/') })).to.equal(200);
      // Programs are what they were.
      expect((await fetch(url(change))).status).to.equal(200);
    });

    it('share the memory of answered cookies with UDP', async () => {
      const ng = new NgClient(daemon.controlPort);
      const first = await ng.raw(offer('shared'), { cookie: 'shared' });
      const body = Buffer.concat([Buffer.from('shared '), offer('shared')]);
      const again = await (await post('/ng', ngType, body)).text();
      ng.close();
      expect(again).to.equal(`shared ${first.toString('latin1')}`);
    });

    it('show the metrics of rtpengine by their names, types and labels', async () => {
      const recorded = readFileSync(
        new URL('../../docs/reference/samples/observed-10.5/metrics.txt', import.meta.url),
        'utf8',
      );
      const reply = await fetch(url('/metrics'));
      expect(reply.headers.get('content-type')).to.include('text/plain');
      const scraped = await reply.text();
      const types = (text: string): readonly string[] =>
        [...text.matchAll(/^# TYPE (\S+ \S+)$/gm)].map(([, type]) => type ?? '');
      expect(types(scraped)).to.include.members([...types(recorded)]);
      const samples = (text: string): readonly string[] =>
        [...text.matchAll(/^(rtpengine_\w+(?:\{[^}]*\})?) /gm)].map(([, name]) =>
          (name ?? '').replaceAll(/(name|address)="[^"]*"/g, '$1=""'),
        );
      expect(samples(scraped)).to.include.members([...samples(recorded)]);
      expect(scraped).to.match(/^rtpengine_sessions\{type="own"\} [1-9]/m);
    });
  });

  it('leave each other alone, whatever clients of one of them do', async () => {
    const where = { host: '127.0.0.1', port: http ?? 0 };
    const many = (to: Where, text: string): readonly Connection[] =>
      Array.from({ length: 60 }, () => {
        const connection = new Connection(to);
        connections.push(connection);
        connection.socket.write(text);
        return connection;
      });
    const upgrade = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
    const half = [
      ...many(where, 'GET /ping HTTP/1.1\r\nHost: x\r\nX-Slow: '),
      ...many(where, 'POST /ng HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nslow'),
      ...many(where, `${upgrade}Sec-WebSocket-Version: 13\r\n`),
      ...many({ path: unixPath }, 'd7:comm'),
    ];
    await until(() => half.every(({ socket }) => !socket.connecting), 'the connections');
    const oversized = open();
    oversized.socket.write(`9 d3:sdp${'9'.repeat(30)}:`);
    await until(() => oversized.ended, 'the end of one that announces too much');
    // One asks for more than it reads: it is let go, and memory with it.
    const deaf = new WebSocket(`ws://127.0.0.1:${where.port}/`, 'cli.rtpengine.com');
    deaf.on('error', () => {});
    await once(deaf, 'open');
    const gone = once(deaf, 'close');
    deaf.pause();
    const floods = [{ path: unixPath }, where, where, { host: where.host, port: tcp ?? 0 }].map(
      (to) => {
        const connection = new Connection(to);
        connections.push(connection);
        return connection;
      },
    );
    const [unixFlood, metricsFlood, cliFlood, tcpFlood] = floods;
    const statistics = 'd7:command10:statisticse';
    const times = (text: (at: number) => string): string =>
      Array.from({ length: flood }, (_, at) => text(at)).join('');
    const get = (path: string) => (): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    for (let i = 0; i < flood; i += 1) deaf.send('list totals');
    unixFlood?.socket.write(times((at) => `f${at} ${statistics}`));
    tcpFlood?.socket.write(times((at) => `g${at} ${statistics}`));
    metricsFlood?.socket.write(times(get('/metrics')));
    cliFlood?.socket.write(times(get('/cli/list+totals')));
    const ng = daemon.client();
    expect((await ng.request({ command: 'ping' }))['result'], 'UDP').to.equal('pong');
    ng.close();
    const answeredBy = (connection: Connection | undefined): number =>
      (connection?.text ?? '').split('6:result2:oke').length - 1;
    const [overTcp, overUnix] = [open(), open({ path: unixPath })];
    overTcp.socket.write(`t ${ping}`);
    overUnix.socket.write(`u ${ping}`);
    await overTcp.until('t d6:result4:ponge');
    await overUnix.until('u d6:result4:ponge');
    expect(await (await post('/ng', ngType, `h9 ${ping}`)).text()).to.equal('h9 d6:result4:ponge');
    const socket = new WebSocket(`ws://127.0.0.1:${where.port}/`, 'ng.rtpengine.com');
    await once(socket, 'open');
    socket.send(`w ${ping}`);
    const [answered] = (await once(socket, 'message')) as [Buffer];
    expect(answered.toString('latin1')).to.equal('w d6:result4:ponge');
    socket.terminate();
    await until(() => metricsFlood?.ended === true && cliFlood?.ended === true, 'their end');
    await daemon.process.untilLogged('closed: more than 16 requests at a time');
    await until(
      () => [unixFlood, tcpFlood].every((each) => answeredBy(each) === flood),
      'all answers',
      30_000,
    );
    deaf.terminate();
    await gone;
  });

  it('hold no more for all that do not finish than so much, and let go who holds most', async () => {
    const well = open();
    const where = { host: '127.0.0.1', port: http ?? 0 };
    const part = 'A'.repeat(990_000);
    const upgrade =
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Protocol: ng.rtpengine.com\r\n\r\n';
    const frame = Buffer.from('82ff00000000000f424000000000', 'hex').toString('latin1');
    const post = `POST /ng HTTP/1.1\r\nHost: x\r\nContent-Type: ${ngType}\r\n`;
    const halves: readonly (readonly [kind: string, to: Where, text: string])[] = [
      ['NG connection', { host: '127.0.0.1', port: tcp ?? 0 }, `p d3:abc999000:${part}`],
      ['HTTP connection', where, `${post}Content-Length: 1000000\r\n\r\n${part}`],
      ['WebSocket', where, upgrade + frame + part],
    ];
    for (const [kind, to, text] of halves) {
      const many = Array.from({ length: 40 }, () => {
        const connection = new Connection(to);
        connections.push(connection);
        connection.socket.write(text, 'latin1');
        return connection;
      });
      await until(() => many.some(({ ended }) => ended), `the end of a ${kind}`);
      for (const { socket } of many) socket.destroy();
    }
    await daemon.process.untilLogged(/closed: clients of this address hold too much memory/);
    // Who is refused next is named again.
    await daemon.process.untilLogged(/\d+ more refused or ended connections and messages/);
    well.socket.write(`w ${ping}`);
    await well.until('w d6:result4:ponge');
  });

  it('over HTTPS serve the same', async () => {
    const ca = readFileSync(authority.file);
    const request = httpsRequest({ host: '127.0.0.1', port: https, path: '/ping', ca });
    request.end();
    const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    expect(text).to.equal('pong\n');
  });

  describe('over WebSocket', () => {
    const sockets: WebSocket[] = [];
    const openSocket = async (protocol: string, headers = {}): Promise<WebSocket> => {
      const socket = new WebSocket(`ws://127.0.0.1:${http ?? 0}/`, protocol, { headers });
      sockets.push(socket);
      await once(socket, 'open');
      return socket;
    };
    const answer = async (socket: WebSocket, text: string): Promise<string> => {
      const message = once(socket, 'message') as Promise<[Buffer, boolean]>;
      socket.send(text);
      const [bytes, isBinary] = await message;
      expect(isBinary).to.equal(true);
      return bytes.toString('latin1');
    };
    afterEach(() => {
      for (const socket of sockets.splice(0)) socket.terminate();
    });

    it('speak the sub-protocols of rtpengine', async () => {
      const ng = await openSocket('ng.rtpengine.com');
      expect(await answer(ng, `w ${ping}`)).to.equal('w d6:result4:ponge');
      const plain = await openSocket('ng-plain.rtpengine.com');
      expect(await answer(plain, '{"command":"ping"}')).to.equal('{"result":"pong"}');
      const cli = await openSocket('cli.rtpengine.com');
      expect(await answer(cli, 'list numsessions')).to.include('Current sessions own');
      const echo = await openSocket('echo.rtpengine.com');
      expect(await answer(echo, 'abc')).to.equal('abc');
    });

    it('refuse other sub-protocols, and pages of other sites', async () => {
      const refused = async (protocol: string, headers = {}): Promise<number> => {
        const socket = new WebSocket(`ws://127.0.0.1:${http ?? 0}/`, protocol, { headers });
        const [, response] = (await once(socket, 'unexpected-response')) as [
          unknown,
          { statusCode: number },
        ];
        socket.on('error', () => {});
        socket.terminate();
        return response.statusCode;
      };
      expect(await refused('other.example')).to.equal(400);
      const origin = 'http://elsewhere.example';
      expect(await refused('cli.rtpengine.com', { origin })).to.equal(403);
    });

    it('end a client that sends too much, and go on', async () => {
      const greedy = await openSocket('ng.rtpengine.com');
      greedy.on('error', () => {});
      const closed = once(greedy, 'close') as Promise<[number]>;
      greedy.send(Buffer.alloc(1_200_000));
      expect((await closed)[0]).to.equal(1009);
      const ng = await openSocket('ng.rtpengine.com');
      expect(await answer(ng, `after ${ping}`)).to.equal('after d6:result4:ponge');
    });
  });
});

describe('a daemon whose control listeners', function () {
  this.timeout(60_000);
  let daemon: MediaDaemon | null = null;
  afterEach(async () => {
    await daemon?.stop();
    daemon = null;
  });

  it('allow some networks answers nobody else', async () => {
    const [tcp, http] = [freeTcpPort(), freeTcpPort()];
    daemon = await MediaDaemon.start('rtprelayd', {
      extra: [
        ...[`--listen-tcp-ng=127.0.0.1:${tcp}`, `--listen-http=127.0.0.1:${http}`],
        '--control-allow=127.0.0.1,192.0.2.0/24',
      ],
    });
    const refused = connect({ host: '127.0.0.1', port: tcp, localAddress: '127.0.0.2' });
    refused.on('error', () => {});
    let text = '';
    refused.on('data', (chunk) => (text += String(chunk)));
    refused.write(`r ${ping}`);
    await new Promise((resolve) => refused.on('close', resolve));
    expect(text).to.equal('');
    const web = connect({ host: '127.0.0.1', port: http, localAddress: '127.0.0.3' });
    web.on('error', () => {});
    web.on('data', (chunk) => (text += String(chunk)));
    web.write('GET /ping HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => web.on('close', resolve));
    expect(text).to.equal('');
    const { process: running } = daemon;
    await running.untilLogged('127.0.0.2 refused: not allowed');
    await running.untilLogged('127.0.0.3 refused: not allowed');
  });

  it('are none of UDP serves all the same', async () => {
    const http = freeTcpPort();
    const folder = new TemporaryFolder('tcp-only');
    const { TestProcess } = await import('../support/child-process.js');
    const program = new URL('../../dist/bin/rtprelayd.js', import.meta.url).pathname;
    const running = new TestProcess('rtprelayd', process.execPath, [
      program,
      ...['--config-file=none', '-f', '-E', '--interface=127.0.0.1'],
      ...[`--listen-http=127.0.0.1:${http}`, '--port-min=20000', '--port-max=20100'],
    ]);
    try {
      await until(async () => {
        try {
          return (await fetch(`http://127.0.0.1:${http}/ping`)).ok;
        } catch {
          return false;
        }
      }, 'pong');
    } finally {
      await running.stop();
      folder.remove();
    }
  });
});
