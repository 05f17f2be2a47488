/** `rtprelayctl capture`: tshark reads what it writes. */
import { expect } from 'chai';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { captureFilter, captureOptions } from '../../src/daemon/cli/capture.js';
import { datagram, PcapReader } from '../../src/daemon/cli/pcapng.js';
import { isInstalled, TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RtpEndpoint, rtpPacket } from '../support/rtp-endpoint.js';
import { audio, buildSdp } from '../support/sdp.js';
import { srtpPacket } from '../support/srtp-packet.js';
import { until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));
const run = promisify(execFile);

describe('rtprelayctl capture', function () {
  this.timeout(60_000);
  const folder = new TemporaryFolder('capture');
  let daemon: MediaDaemon;
  let cli: number;

  before(async () => {
    cli = freeTcpPort();
    daemon = await MediaDaemon.start('rtprelayd', { extra: [`--listen-cli=127.0.0.1:${cli}`] });
  });
  after(async () => {
    await daemon?.stop();
    folder.remove();
  });

  it('writes packets and NG messages of one call, and of no other', async function () {
    const canCapture =
      process.getuid?.() === 0 && (isInstalled('tcpdump') || isInstalled('dumpcap'));
    if (!canCapture || !isInstalled('tshark')) this.skip();
    const client = daemon.client();
    const phones = await Promise.all([1, 2, 3, 4].map(() => RtpEndpoint.open()));
    const [a, b, c, d] = phones;
    if (a === undefined || b === undefined || c === undefined || d === undefined) return;
    const path = folder.file('call.pcapng');
    try {
      const set = async (
        id: string,
        from: RtpEndpoint,
        to: RtpEndpoint,
      ): Promise<readonly number[]> => {
        const call = { 'call-id': id, 'from-tag': 'a' };
        const offer = await client.request({ command: 'offer', ...call, sdp: audioSdp(from.port) });
        const more = { 'to-tag': 'b', sdp: audioSdp(to.port) };
        const answer = await client.request({ command: 'answer', ...call, ...more });
        return [mediaPort(answer), mediaPort(offer)];
      };
      const [toA = 0, toB = 0] = await set('caught', a, b);
      const [toC = 0, toD = 0] = await set('other', c, d);
      const child = spawn(program, [
        '-port',
        String(cli),
        'capture',
        'caught',
        path,
        '--seconds=30',
      ]);
      let said = '';
      child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString('latin1')));
      child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString('latin1')));
      const ended = once(child, 'exit');
      const talk = setInterval(() => {
        a.send(toA);
        b.send(toB);
        c.send(toC);
        d.send(toD);
      }, 10);
      // It begins some time after it was started; enough of it is there when the file has grown.
      const fields = async (
        filter: string,
        ...names: readonly string[]
      ): Promise<readonly string[]> => {
        const decode = [toA, toB, toC, toD].flatMap((port) => ['-d', `udp.port==${port},rtp`]);
        const shown = names.flatMap((name) => ['-e', name]);
        const words = ['-r', path, ...decode, '-Y', filter, '-T', 'fields', ...shown];
        const { stdout } = await run('tshark', words).catch(
          (error: unknown) => error as { stdout: string },
        );
        return stdout.split('\n').filter((line) => line !== '');
      };
      await until(
        async () => child.exitCode !== null || (await fields('rtp', 'rtp.ssrc')).length > 40,
        'packets in the file',
        40_000,
      );
      await client.request({ command: 'query', 'call-id': 'caught' });
      clearInterval(talk);
      child.kill('SIGINT');
      expect((await ended)[0], said).to.equal(0);
      const packets = await fields('rtp', 'udp.srcport', 'udp.dstport');
      const ways = new Set(packets.map((line) => line.replace('\t', '>')));
      expect([...ways].sort()).to.deep.equal(
        [`${a.port}>${toA}`, `${toB}>${b.port}`, `${b.port}>${toB}`, `${toA}>${a.port}`].sort(),
      );
      const [, counted = '', messages = ''] =
        /^(\d+) packets and (\d+) NG messages/.exec(said) ?? [];
      expect(
        (await fields('udp.port != 0 && !(frame.interface_id == 0)', 'frame.number')).length,
      ).to.equal(Number(counted));
      // Offer, answer and query with their replies.
      expect(messages).to.equal('6');
      expect(await fields('frame contains "7:command5:offer"', 'udp.dstport')).to.deep.equal([
        String(daemon.controlPort),
      ]);
      expect(
        await fields('frame contains "5:query" && frame contains "caught"', 'udp.dstport'),
      ).to.have.length(1);
      expect(
        await fields('ip.checksum.status == 0 || udp.checksum.status == 0', 'frame.number'),
      ).to.deep.equal([]);
    } finally {
      client.close();
      for (const phone of phones) phone.close();
    }
  });

  it('says why it does not', async () => {
    const tried = async (...words: readonly string[]): Promise<string> =>
      run(program, ['-port', String(cli), 'capture', ...words]).then(
        ({ stdout }) => stdout,
        (error: unknown) => (error as { readonly stderr: string }).stderr,
      );
    expect(await tried('nosuch', folder.file('x'))).to.equal(
      "rtprelayctl: No such call 'nosuch'\n",
    );
    expect(await tried('a', 'b', 'c')).to.include('capture takes CALL-ID FILE');
    expect(captureOptions(['a', 'b', '--seconds=0'])).to.equal('--seconds is from 1 to 86400');
    const plain = { callId: 'a', file: 'b', seconds: 10, decrypt: false };
    expect(captureOptions(['a', 'b'])).to.deep.equal(plain);
    expect(captureOptions(['a', '--decrypt', 'b'])).to.deep.equal({ ...plain, decrypt: true });
  });

  it('decrypts nothing that the configuration does not permit, and writes to no other place', async function () {
    const client = daemon.client();
    try {
      const sdp = audioSdp(4000);
      await client.request({ command: 'offer', 'call-id': 'there', 'from-tag': 'a', sdp });
    } finally {
      client.close();
    }
    const tried = async (...words: readonly string[]): Promise<string> =>
      run(program, ['-port', String(cli), 'capture', 'there', ...words, '--seconds=2']).then(
        ({ stdout }) => stdout,
        (error: unknown) => (error as { readonly stderr: string }).stderr,
      );
    expect(await tried(folder.file('refused'), '--decrypt')).to.equal(
      'rtprelayctl: SRTP keys are not told: the option capture-decrypt permits it\n',
    );
    expect(existsSync(folder.file('refused'))).to.equal(false);
    writeFileSync(folder.file('victim'), 'as it was');
    symlinkSync(folder.file('victim'), folder.file('link'));
    expect(await tried(folder.file('link'))).to.include('is a symbolic link');
    expect(readFileSync(folder.file('victim'), 'latin1')).to.equal('as it was');
    expect(await tried('/dev/full')).to.equal('rtprelayctl: cannot write /dev/full: ENOSPC\n');
    expect(await tried(folder.file('no/such/folder'))).to.include('ENOENT');
    writeFileSync(folder.file('open'), 'before', { mode: 0o666 });
    await tried(folder.file('open'));
    expect(statSync(folder.file('open')).mode & 0o777).to.equal(0o600);
  });

  it('decrypts SRTP where it is permitted: what was said stands in the file', async function () {
    const canCapture =
      process.getuid?.() === 0 && (isInstalled('tcpdump') || isInstalled('dumpcap'));
    if (!canCapture || !isInstalled('tshark')) this.skip();
    const port = freeTcpPort();
    const extra = [`--listen-cli=127.0.0.1:${port}`, '--capture-decrypt'];
    const other = await MediaDaemon.start('rtprelayd', { extra });
    const client = other.client();
    const [a, b] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    const path = folder.file('decrypted.pcapng');
    const suite = 'AES_CM_128_HMAC_SHA1_80';
    const theirs = Buffer.from('0123456789ABCDEF0123456789ABCD', 'latin1');
    const secret = (at: number, key: Buffer): string =>
      buildSdp({
        address: '127.0.0.1',
        media: [
          {
            ...audio(at),
            ...{ protocol: 'RTP/SAVP', formats: '0' },
            lines: [`a=crypto:1 ${suite} inline:${key.toString('base64')}`],
          },
        ],
      });
    try {
      const call = { 'call-id': 'secret', 'from-tag': 'a' };
      const plainly = { 'transport-protocol': 'RTP/AVP' };
      const offer = await client.request({
        ...{ command: 'offer', ...call, ...plainly },
        sdp: secret(a.port, theirs),
      });
      const answer = await client.request({
        ...{ command: 'answer', ...call, 'to-tag': 'b', ...plainly },
        sdp: audioSdp(b.port),
      });
      const [toA, toB] = [mediaPort(answer), mediaPort(offer)];
      const words = ['-port', String(port), 'capture', 'secret', path, '--seconds=30', '--decrypt'];
      const child = spawn(program, words);
      let said = '';
      child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString('latin1')));
      child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString('latin1')));
      const ended = once(child, 'exit');
      let sequenceNumber = 65_500;
      const talk = setInterval(() => {
        sequenceNumber += 1;
        const payload = Buffer.alloc(160, 'spoken');
        const rtp = { sequenceNumber, timestamp: sequenceNumber * 160, ssrc: a.ssrc, payload };
        const protectedPacket = srtpPacket(theirs, rtpPacket(rtp), sequenceNumber >> 16);
        a.rtpSocket.send(protectedPacket, toA, '127.0.0.1');
        b.send(toB);
      }, 10);
      const fields = async (filter: string, ...names: readonly string[]): Promise<string[]> => {
        const decode = [toA, toB].flatMap((each) => ['-d', `udp.port==${each},rtp`]);
        const shown = names.flatMap((name) => ['-e', name]);
        const options = ['-o', 'udp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE'];
        const { stdout } = await run(
          'tshark',
          ['-r', path, ...decode, ...options, '-Y', filter, '-T', 'fields', ...shown],
          { maxBuffer: 1 << 24 },
        ).catch((error: unknown) => error as { stdout: string });
        return stdout.split('\n').filter((line) => line !== '');
      };
      const toItsPort = `udp.dstport == ${toA} && rtp`;
      await until(
        async () => child.exitCode !== null || (await fields(toItsPort, 'rtp.seq')).length > 100,
        'packets in the file',
        40_000,
      );
      clearInterval(talk);
      child.kill('SIGINT');
      expect((await ended)[0], said).to.equal(0);
      expect(said).to.match(/; \d+ packets of SRTP were decrypted\n$/);
      const spoken = Buffer.alloc(160, 'spoken').toString('hex');
      const heard = await fields(toItsPort, 'rtp.payload');
      expect(new Set(heard.map((text) => text.replaceAll(':', '')))).to.deep.equal(
        new Set([spoken]),
      );
      // What the relay has encrypted: the bytes of a packet are all the same.
      const sent = await fields(`udp.srcport == ${toA} && rtp`, 'rtp.payload');
      expect(sent.length).to.be.greaterThan(50);
      for (const text of sent) expect(text.replaceAll(':', '')).to.match(/^(..)\1{159}$/);
      expect(
        await fields(
          // Of the others the device makes the checksums.
          `udp.port == ${toA} && rtp && (ip.checksum.status != 1 || udp.checksum.status != 1)`,
          'frame.number',
        ),
      ).to.deep.equal([]);
    } finally {
      client.close();
      for (const phone of [a, b]) phone.close();
      await other.stop();
    }
  });

  it('asks for the ports of the call, address by address', () => {
    const ports = [
      { address: '192.0.2.1', port: 4000 },
      { address: '192.0.2.1', port: 4001 },
      { address: '2001:db8::1', port: 5000 },
    ];
    expect(captureFilter(ports)).to.equal(
      'udp and ((host 192.0.2.1 and (port 4000 or port 4001)) or (host 2001:db8::1 and (port 5000)))',
    );
  });

  it('reads capture files in pieces, of either byte order, and refuses others', () => {
    for (const big of [false, true]) {
      const file = Buffer.alloc(24 + 16 + 5);
      const put = (value: number, at: number): number =>
        big ? file.writeUInt32BE(value, at) : file.writeUInt32LE(value, at);
      put(0xa1b2c3d4, 0);
      put(113, 20);
      for (const [at, value] of [7, 8, 5, 60].entries()) put(value, 24 + 4 * at);
      file.write('hello', 40, 'latin1');
      const reader = new PcapReader();
      const packets = [...file].flatMap((byte) => [...reader.read(Buffer.of(byte))]);
      expect(reader.linkType).to.equal(113);
      expect(packets).to.deep.equal([
        { atMicros: 7_000_008, bytes: Buffer.from('hello'), length: 60 },
      ]);
    }
    expect(() => new PcapReader().read(Buffer.alloc(30))).to.throw('no capture file');
  });

  it('makes datagrams of either family', () => {
    const v4 = datagram(
      { address: '192.0.2.1', port: 1 },
      { address: '192.0.2.2', port: 2 },
      Buffer.from('abc'),
    );
    // RFC 1071 §1: with its checksum a header sums to zero.
    expect(v4.length).to.equal(31);
    let sum = 0;
    for (let at = 0; at < 20; at += 2) sum += v4.readUInt16BE(at);
    expect((sum & 0xffff) + (sum >> 16)).to.equal(0xffff);
    const v6 = datagram(
      { address: '2001:db8::1', port: 1 },
      { address: '::1', port: 2 },
      Buffer.from('abc'),
    );
    expect(v6.toString('hex', 0, 40)).to.equal(
      '60000000000b1140' + '20010db8000000000000000000000001' + '00000000000000000000000000000001',
    );
  });
});
