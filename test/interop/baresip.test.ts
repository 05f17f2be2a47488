/**
 * baresip phones that speak plain RTP, SRTP by SDES (as a choice, or not), DTLS-SRTP and ICE, each with each, through a Kamailio.
 * It is no dependency: it is called where it is installed, and where scripts/independent-stacks has put it.
 */
import { expect } from 'chai';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder, TestProcess } from '../support/child-process.js';
import { MediaDaemon, subjectKind } from '../support/daemons.js';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';
import { Kamailio } from '../support/sip.js';

/** A file system that has it: `/`, or one that its packages were unpacked in; null: there is none. */
const root = process.env['RTPRELAY_BARESIP'] ?? (isInstalled('baresip') ? '/' : null);
const address = '10.77.1.1';
const folder = fileURLToPath(new URL('kamailio/', import.meta.url));

/** Parameters of an account, by the name that the proxy's configuration knows. */
const kinds = {
  plain: '',
  plain_ice: ';medianat=ice',
  srtp: ';mediaenc=srtp',
  mand: ';mediaenc=srtp-mand',
  mand_ice: ';mediaenc=srtp-mand;medianat=ice',
  dtls: ';mediaenc=dtls_srtp',
  dtls_ice: ';mediaenc=dtls_srtp;medianat=ice',
} as const;
type Kind = keyof typeof kinds;
const all = Object.keys(kinds) as Kind[];

/** What it sends and decodes, bit/s: its line of status says both, some seconds late. */
const isTalking = ({ process }: { readonly process: TestProcess }): boolean =>
  /audio=[1-9]\d{4}\/[1-9]\d{4} \(bit\/s\)(?!.*audio=)/s.test(process.log());

describe(`baresip, Kamailio and ${subjectKind}`, function () {
  this.timeout(120_000);
  let files: TemporaryFolder;
  let net: NetworkNamespace;
  let daemon: MediaDaemon;
  let kamailio: Kamailio;
  let nextPort = 20_000;
  const phones: { readonly process: TestProcess; readonly name: string }[] = [];

  before(async function () {
    if (root === null || !isInstalled('kamailio') || !namespacesAllowed()) this.skip();
    files = new TemporaryFolder('baresip');
    net = new NetworkNamespace('baresip');
    net.ip('link', 'add', 'phones', 'type', 'veth', 'peer', 'name', 'other');
    net.addAddress('phones', `${address}/24`);
    for (const device of ['phones', 'other']) net.ip('link', 'set', device, 'up');
    daemon = await MediaDaemon.start(subjectKind, {
      ...{ namespace: net.name, interfaces: [address], controlAddress: address },
      extra: ['--delete-delay=0'],
    });
    kamailio = await Kamailio.start({
      config: `${folder}kinds.cfg`,
      defines: { RTPENGINE_SOCK: `udp:${address}:${daemon.controlPort}`, PHONES: address },
      place: { namespace: net.name, address },
    });
  });
  afterEach(async () => {
    for (const { process } of phones.splice(0)) await process.stop();
  });
  after(async () => {
    await kamailio?.stop();
    await daemon?.stop('SIGKILL');
    net?.remove();
    files?.remove();
  });

  /** @param dials a user part of the proxy; null: it waits. @returns its SIP port. */
  function phone(kind: Kind, dials: string | null): number {
    if (root === null) throw new Error('no baresip');
    const port = nextPort;
    // SIP by UDP and TLS, then media.
    nextPort += 20;
    const home = files.file(`${kind}-${port}`);
    mkdirSync(home);
    const modules = ['g711', 'aubridge', 'ice', 'srtp', 'dtls_srtp'];
    const config = [
      ...[
        'poll_method epoll',
        `sip_listen ${address}:${port}`,
        `rtp_ports ${port + 4}-${port + 19}`,
      ],
      ...['audio_player aubridge,line', 'audio_source aubridge,line', 'audio_alert none'],
      `module_path ${join(root, 'usr/lib/baresip/modules')}`,
      ...modules.map((name) => `module ${name}.so`),
      ...['module_tmp uuid.so', 'module_tmp account.so', 'module_app menu.so', ''],
    ];
    const account = `<sip:${kind}-${port}@${address}>;regint=0;answermode=auto${kinds[kind]}`;
    writeFileSync(join(home, 'config'), config.join('\n'));
    writeFileSync(join(home, 'accounts'), `${account};audio_codecs=PCMA/8000/1\n`);
    const words = dials === null ? [] : ['-e', `/dial sip:${dials}@${address}:${kamailio.port}`];
    const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib/aarch64-linux-gnu', 'usr/lib'];
    const process = new TestProcess(
      ...(['baresip', join(root, 'usr/bin/baresip'), ['-f', home, ...words]] as const),
      {
        namespace: net.name,
        env: { LD_LIBRARY_PATH: libraries.map((each) => join(root, each)).join(':') },
      },
    );
    phones.push({ process, name: `${kind}${dials === null ? '' : ` to ${dials}`}` });
    return port;
  }

  for (const from of all) {
    it(`${from} calls each kind, and hears it`, async () => {
      const called = all.map((kind) => ({ kind, port: phone(kind, null) }));
      for (const { process } of phones) await process.untilLogged(/baresip is ready/);
      for (const { kind, port } of called) phone(from, `${kind}-${port}`);
      const [first] = phones;
      await first?.process
        .until(() => phones.every(isTalking), 30_000)
        .catch(() => {
          const silent = phones.filter((each) => !isTalking(each));
          const logs = silent.map(({ name, process }) => `${name}\n${process.log().slice(-3000)}`);
          expect.fail(
            `not heard: ${silent.map(({ name }) => name).join(', ')}\n${logs.join('\n')}`,
          );
        });
    });
  }
});
