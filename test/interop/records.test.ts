/**
 * The records that calls leave in the system log, and whom digits are told to: the same calls through rtpengine 10.5 and
 * 12.5 and through this daemon, line by line.
 */
import { expect } from 'chai';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { cliAsk } from '../support/cli.js';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { RtpEndpoint, rtpPacket, senderReport } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget, type MediaSection } from '../support/sdp.js';
import { mayMountDevices, SystemLog } from '../support/system-log.js';
import { rtpengine125Command } from '../support/trixie.js';
import { pause, until } from '../support/wait.js';

type Keys = Readonly<Record<string, unknown>>;
type Phones = readonly [RtpEndpoint, RtpEndpoint, RtpEndpoint];

interface Call {
  readonly phones: Phones;
  readonly ports: readonly [number, number, number];
  /** The body of the reply. */
  readonly ask: (command: string, keys: Keys) => Promise<string>;
  readonly terminate: () => Promise<unknown>;
}

const plain = (port: number, ...lines: readonly string[]): string =>
  buildSdp({ origin: '127.0.0.1', address: '127.0.0.1', media: [{ port, formats: '8', lines }] });
const withVideo = (port: number, video: number): string =>
  buildSdp({
    ...{ origin: '127.0.0.1', address: '127.0.0.1' },
    media: [
      audio(port, ['a=ptime:30']),
      { type: 'video', port: video, formats: '96', lines: ['a=rtpmap:96 VP8/90000'] },
    ],
  });
const fax = (port: number): string => {
  const image: MediaSection = { type: 'image', protocol: 'udptl', port, formats: 't38' };
  return buildSdp({ origin: '127.0.0.1', address: '127.0.0.1', media: [image] });
};
const a = { 'from-tag': 'a' };
const toB = { ...a, 'to-tag': 'b' };
const listener = { 'to-tag': 's' };

async function talk(call: Call, offered: string, answered: string): Promise<void> {
  const [caller, callee] = call.phones;
  await caller.sendRtp(mediaTarget(answered), 5, { payloadType: 8 });
  await callee.sendRtp(mediaTarget(offered), 5, { payloadType: 8 });
}
const end = (call: Call, keys: Keys = a): Promise<string> =>
  call.ask('delete', { ...keys, 'delete-delay': 0 });

interface Scene {
  /** Those that disagree with each other are compared as 12.5 has them. */
  readonly only?: DaemonKind;
  readonly play: (call: Call) => Promise<unknown>;
}

const scenes: Readonly<Record<string, Scene>> = {
  'a call with media': {
    play: async (call) => {
      const offered = await call.ask('offer', { ...a, label: 'L', sdp: plain(call.ports[0]) });
      await talk(call, offered, await call.ask('answer', { ...toB, sdp: plain(call.ports[1]) }));
      await end(call);
    },
  },
  'a call in which the callee has offered last': {
    play: async (call) => {
      await call.ask('offer', { ...a, sdp: plain(call.ports[0]) });
      await call.ask('answer', { ...toB, sdp: plain(call.ports[1]) });
      const turned = { 'from-tag': 'b', 'to-tag': 'a' };
      await call.ask('offer', { ...turned, sdp: plain(call.ports[1]) });
      await call.ask('answer', { ...turned, sdp: plain(call.ports[0]) });
      await end(call);
    },
  },
  'an offer that nobody answered': {
    play: async (call) => {
      await call.ask('offer', { ...a, sdp: plain(call.ports[0]) });
      await end(call);
    },
  },
  'branches of which two have answered': {
    only: 'rtpengine-12.5',
    play: async (call) => {
      const [first, second, third] = call.ports;
      for (const branch of ['x', 'y'])
        await call.ask('offer', { ...a, 'via-branch': branch, sdp: plain(first) });
      await call.ask('answer', { ...toB, 'via-branch': 'x', sdp: plain(second) });
      await call.ask('answer', { ...a, 'to-tag': 'c', 'via-branch': 'y', sdp: plain(third) });
      await end(call);
    },
  },
  'a branch that was let go': {
    only: 'rtpengine-12.5',
    play: async (call) => {
      for (const branch of ['x', 'y'])
        await call.ask('offer', { ...a, 'via-branch': branch, sdp: plain(call.ports[0]) });
      await call.ask('answer', { ...toB, 'via-branch': 'x', sdp: plain(call.ports[1]) });
      await end(call, { ...a, 'via-branch': 'y' });
      await end(call, toB);
    },
  },
  'another payload type than the first, and refused video': {
    only: 'rtpengine',
    play: async (call) => {
      const [caller, callee] = call.phones;
      const offered = await call.ask('offer', { ...a, sdp: withVideo(call.ports[0], 7000) });
      const answered = await call.ask('answer', { ...toB, sdp: withVideo(call.ports[1], 0) });
      await caller.sendRtp(mediaTarget(answered), 5, { payloadType: 8 });
      await callee.sendRtp(mediaTarget(offered), 5, { payloadType: 0 });
      await end(call);
    },
  },
  'a call that the operator ended': {
    play: async (call) => {
      await call.ask('offer', { ...a, sdp: plain(call.ports[0]) });
      await call.ask('answer', { ...toB, sdp: plain(call.ports[1]) });
      await call.terminate();
    },
  },
  'a call without packets': {
    play: async (call) => {
      await call.ask('offer', { ...a, sdp: plain(call.ports[0]) });
      await call.ask('answer', { ...toB, sdp: plain(call.ports[1]) });
    },
  },
  'a call that somebody listened to': {
    play: async (call) => {
      await call.ask('offer', { ...a, sdp: plain(call.ports[0]) });
      await call.ask('answer', { ...toB, sdp: plain(call.ports[1]) });
      await call.ask('subscribe request', { ...a, ...listener });
      await call.ask('subscribe answer', { ...listener, sdp: plain(call.ports[2]) });
      await end(call);
    },
  },
  'a publication': {
    play: async (call) => {
      await call.ask('publish', { ...a, sdp: plain(call.ports[0]) });
      await call.ask('subscribe request', { ...a, ...listener });
      await call.ask('subscribe answer', { ...listener, sdp: plain(call.ports[2]) });
      await end(call);
    },
  },
  'a side that multiplexes': {
    play: async (call) => {
      const mux = { 'rtcp-mux': ['require'] };
      const offered = await call.ask('offer', { ...a, ...mux, sdp: plain(call.ports[0]) });
      const sdp = plain(call.ports[1], 'a=rtcp-mux');
      await talk(call, offered, await call.ask('answer', { ...toB, sdp }));
      const [, callee] = call.phones;
      const { port, address } = mediaTarget(offered);
      callee.rtpSocket.send(senderReport(callee.ssrc, 5, 800), port, address);
      await callee.sendRtp({ port, address }, 1, { payloadType: 8 });
      await end(call);
    },
  },
  'keys, a class of traffic and no answer': {
    play: async (call) => {
      const sdp = plain(call.ports[0]);
      await call.ask('offer', { ...a, 'transport-protocol': 'RTP/SAVP', TOS: 100, sdp });
      await end(call);
    },
  },
  fax: {
    play: async (call) => {
      await call.ask('offer', { ...a, sdp: fax(call.ports[0]) });
      await call.ask('answer', { ...toB, sdp: fax(call.ports[1]) });
      await end(call);
    },
  },
};

/** Three of each digit's packets say that it ended. */
async function dial(call: Call): Promise<void> {
  const events = (port: number): string =>
    buildSdp({ origin: '127.0.0.1', address: '127.0.0.1', media: [audio(port)] });
  await call.ask('offer', { ...a, label: 'L', sdp: events(call.ports[0]) });
  const { port, address } = mediaTarget(
    await call.ask('answer', { ...toB, sdp: events(call.ports[1]) }),
  );
  const [{ rtpSocket }] = call.phones;
  let sequenceNumber = 0;
  for (const [digit, timestamp] of [
    [5, 1600],
    [11, 3200],
  ] as const) {
    for (const [at, duration] of [160, 320, 480, 480, 480].entries()) {
      const volume = (at >= 2 ? 0x80 : 0) | 10;
      const payload = Buffer.from([digit, volume, duration >> 8, duration & 0xff]);
      sequenceNumber += 1;
      const fields = { payloadType: 101, sequenceNumber, timestamp, ssrc: 7, payload };
      rtpSocket.send(rtpPacket(fields), port, address);
      await pause(2);
    }
  }
}

interface Told {
  /** For each scene the fields of its record. */
  readonly records: ReadonlyMap<string, readonly string[]>;
  readonly digits: readonly string[];
  readonly digitsByUdp: readonly string[];
  readonly digitsByTcp: readonly string[];
  readonly rtcp: readonly string[];
  /** Records that name the daemon's own ports. */
  readonly ownPorts: number;
}

class Recorder {
  readonly #replies: string[] = [];
  readonly #datagrams: string[] = [];
  #ownPorts = 0;

  constructor(
    private readonly kind: DaemonKind,
    private readonly log: SystemLog,
  ) {}

  async record(): Promise<Told> {
    const udp = createSocket('udp4');
    udp.on('message', (bytes) => this.#datagrams.push(bytes.toString('latin1')));
    udp.bind(0, '127.0.0.1');
    await once(udp, 'listening');
    const [cli, tcp] = [freeTcpPort(), freeTcpPort()];
    const daemon = await MediaDaemon.start(this.kind, {
      under: this.log.under,
      extra: [
        ...['--log-facility-cdr=local1', '--log-facility-rtcp=local2'],
        ...['--log-facility-dtmf=local3', `--dtmf-log-dest=127.0.0.1:${udp.address().port}`],
        ...[`--listen-tcp-ng=127.0.0.1:${tcp}`, '--dtmf-log-ng-tcp', '--timeout=2'],
        `--listen-cli=127.0.0.1:${cli}`,
      ],
    });
    const client = connect(tcp, '127.0.0.1');
    try {
      client.on('data', (bytes) => this.#replies.push(bytes.toString('latin1')));
      client.write('c0 d7:command4:pinge');
      await until(() => this.#replies.length > 0, 'a pong by TCP');
      const records = new Map<string, readonly string[]>();
      for (const [name, { play }] of Object.entries(scenes))
        records.set(name, await this.#scene(daemon, cli, name, play));
      await this.#scene(daemon, cli, 'digits', async (call) => {
        await dial(call);
        await until(() => this.#datagrams.length === 2, 'both digits');
        await until(() => this.#notices().length === 2, 'both digits by TCP');
        await end(call);
      });
      return {
        ...{ records, ownPorts: this.#ownPorts },
        digits: this.#json(await this.#lines('<158>')),
        digitsByUdp: this.#json(this.#datagrams),
        digitsByTcp: this.#notices(),
        rtcp: (await this.#lines('<150>')).map((each) => each.replace(/ssrc=\d+/, 'ssrc=S')),
      };
    } finally {
      client.destroy();
      udp.close();
      await daemon.stop();
    }
  }

  async #lines(priority: string): Promise<readonly string[]> {
    return (await this.log.messages())
      .filter((each) => each.startsWith(priority))
      .map((each) => each.replace(/^<\d+>\w+ +\d+ [\d:]+ rtpengine: /, priority));
  }

  /** Dictionaries that came under cookies of the daemon's own. */
  #notices(): readonly string[] {
    const [, ...notices] = this.#replies.join('').split(/[0-9a-f]{16} (?=d6:notify)/);
    return notices.map((each) => each.trimEnd().replace(/i1\d{9}e/, 'iTIMEe'));
  }

  /** 12.5 names the tags in the order of a hash table. */
  #json(lines: readonly string[]): readonly string[] {
    return lines.map((line) =>
      line.replace(/1\d{9}/, 'TIME').replace('"tags":["b","a"]', '"tags":["a","b"]'),
    );
  }

  async #scene(
    daemon: MediaDaemon,
    cli: number,
    name: string,
    play: Scene['play'],
  ): Promise<readonly string[]> {
    const phones: Phones = [
      await RtpEndpoint.open(),
      await RtpEndpoint.open(),
      await RtpEndpoint.open(),
    ];
    const ng = daemon.client();
    const id = name.replaceAll(' ', '-').replaceAll(',', '');
    try {
      await play({
        phones,
        ports: [phones[0].port, phones[1].port, phones[2].port],
        ask: async (command, keys) => {
          const request = { command, 'call-id': id, ...keys } as Parameters<typeof ng.ask>[0];
          const reply = await ng.ask(request);
          expect(reply, `${this.kind} ${command}`).to.have.property('result', 'ok');
          return String(reply['sdp']);
        },
        terminate: () => cliAsk(cli, `terminate ${id}`),
      });
      const mine = async (): Promise<readonly string[]> =>
        (await this.#lines('<142>')).filter((each) => each.includes(`ci=${id},`));
      await until(async () => (await mine()).length > 0, `the record of ${name} (${this.kind})`);
      return (await mine())
        .flatMap((line) => line.split(', '))
        .map((each) => this.#mask(daemon, phones, each));
    } finally {
      ng.close();
      for (const phone of phones) phone.close();
    }
  }

  /**
   * 10.5 writes no local address unless the call timed out or the operator ended it, 12.5 none of those whose ports it
   * has closed; this daemon always.
   */
  #mask(daemon: MediaDaemon, phones: Phones, field: string): string {
    const [name = '', value = ''] = field.split('=');
    if (name.endsWith('_local_relay_port') && daemon.ownsPort(Number(value))) this.#ownPorts += 1;
    if (/_local_relay_(?:ip|port)$/.test(name)) return `${name}=LOCAL`;
    if (name === 'created_from') return 'created_from=CLIENT';
    if (/_(?:time|duration)$/.test(name))
      return `${name}=${value.replace(/^\d+(?=\.\d{6}$)/, 'N').replace(/\d{6}$/, 'U')}`;
    if (/(?:last_signal|_last_packet)$/.test(name))
      return `${name}=${value.replace(/^1\d{9}$/, 'N')}`;
    const port = Number(value);
    const phone = phones.findIndex((each) => each.port === port || each.port + 1 === port);
    if (!name.endsWith('_endpoint_port') || phone < 0) return field;
    return `${name}=${'ABC'[phone]}${port === phones[phone]?.port ? '' : '+1'}`;
  }
}

async function record(kind: DaemonKind): Promise<Told> {
  const log = await SystemLog.open();
  try {
    return await new Recorder(kind, log).record();
  } finally {
    log.close();
  }
}

describe('records in the system log', function () {
  this.timeout(120_000);
  const references: readonly DaemonKind[] = [
    ...(rtpengineInstalled ? (['rtpengine'] as const) : []),
    ...(rtpengine125Command() === null ? [] : (['rtpengine-12.5'] as const)),
  ];
  const told = new Map<DaemonKind, Told>();

  before(async function () {
    if (!mayMountDevices()) this.skip();
    const kinds: readonly DaemonKind[] = ['rtprelayd', ...references];
    const all = await Promise.all(kinds.map(record));
    kinds.forEach((kind, at) => told.set(kind, all[at] as Told));
  });

  const pairOf = (reference: DaemonKind): readonly [ours: Told, theirs: Told] => {
    const [ours, theirs] = [told.get('rtprelayd'), told.get(reference)];
    if (ours === undefined || theirs === undefined) throw new Error('nothing was recorded');
    return [ours, theirs];
  };

  for (const reference of references) {
    for (const [name, { only = reference }] of Object.entries(scenes)) {
      if (only !== reference) continue;
      it(`of ${name} are those of ${reference}`, () => {
        const [ours, theirs] = pairOf(reference);
        expect(theirs.records.get(name)).to.have.length.greaterThan(20);
        expect(ours.records.get(name)).to.deep.equal(theirs.records.get(name));
      });
    }

    it(`of RTCP are those of ${reference}`, () => {
      const [ours, theirs] = pairOf(reference);
      expect(theirs.rtcp).to.have.length(1);
      expect(ours.rtcp).to.deep.equal(theirs.rtcp);
    });

    it(`of digits, and what NG clients of TCP are told of them, are those of ${reference}`, () => {
      const [ours, theirs] = pairOf(reference);
      // 10.5 does not know a label that came with an offer.
      const bare = (lines: readonly string[]): readonly string[] =>
        reference === 'rtpengine-12.5'
          ? lines.map((each) => each.replace('4:tagsl1:b1:ae', '4:tagsl1:a1:be'))
          : lines.map((each) =>
              each.replace('"source_label":"L",', '').replace('12:source_label1:L', ''),
            );
      expect(theirs.digits).to.have.length(2);
      expect(bare(ours.digits)).to.deep.equal(theirs.digits);
      expect(bare(ours.digitsByUdp)).to.deep.equal(theirs.digitsByUdp);
      expect(bare(ours.digitsByTcp)).to.deep.equal(bare(theirs.digitsByTcp));
    });
  }

  it('name the ports of this daemon', () => {
    expect(told.get('rtprelayd')?.ownPorts).to.be.greaterThan(40);
  });
});
