/**
 * A relay that was away when its proxy asked is asked again: the parameters that deploy/kamailio/pair.cfg has and docs/ha.md
 * recommends, on either release. Kamailio 6 by default sends nothing to such a relay for up to a minute.
 */
import { expect } from 'chai';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpPort } from '../support/free-ports.js';
import { audio, buildSdp } from '../support/sdp.js';
import { hasKamailio, Kamailio } from '../support/sip.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const sdp = buildSdp({ address: '127.0.0.1', media: [audio(6000)] });

/** What a document sets of the module, without where the relay is. */
const parametersIn = (file: string): readonly string[] =>
  readFileSync(`${root}${file}`, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('modparam("rtpengine"') && !line.includes('rtpengine_sock'))
    .map((line) => line.replace(/\s*#.*/, ''));

const configuration = (parameters: readonly string[]): string =>
  [
    ...['log_stderror=yes', 'children=1', 'auto_aliases=no'],
    ...['sl', 'pv', 'rtpengine'].map((name) => `loadmodule "${name}.so"`),
    'modparam("rtpengine", "rtpengine_sock", RTPENGINE_SOCK)',
    ...parameters,
    'request_route {',
    '  if (rtpengine_offer("replace-origin")) sl_send_reply("200", "OK");',
    '  else sl_send_reply("503", "No Media Relay");',
    '}',
    '',
  ].join('\n');

/** One INVITE: the status of the response. */
async function invite(port: number, callId: string): Promise<string> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  try {
    const request = [
      `INVITE sip:b@127.0.0.1:${port} SIP/2.0`,
      `Via: SIP/2.0/UDP 127.0.0.1:${socket.address().port};branch=z9hG4bK${callId}`,
      ...['From: <sip:a@127.0.0.1>;tag=a', 'To: <sip:b@127.0.0.1>', `Call-ID: ${callId}`],
      ...['CSeq: 1 INVITE', 'Max-Forwards: 70', 'Content-Type: application/sdp'],
      ...[`Content-Length: ${sdp.length}`, '', sdp],
    ];
    socket.send(request.join('\r\n'), port, '127.0.0.1');
    const [response] = (await once(socket, 'message')) as [Buffer];
    return response.toString().slice(8, 11);
  } finally {
    socket.close();
  }
}

for (const release of ['installed', '6.0'] as const)
  for (const file of ['deploy/kamailio/pair.cfg', 'docs/ha.md'])
    it(`Kamailio (${release}) as ${file} has it asks a relay that is back`, async function () {
      this.timeout(120_000);
      if (!hasKamailio(release)) this.skip();
      const parameters = parametersIn(file);
      expect(parameters).to.not.have.lengthOf(0);
      const folder = new TemporaryFolder('kamailio-return');
      const controlPort = freeUdpPort();
      writeFileSync(folder.file('proxy.cfg'), configuration(parameters));
      const kamailio = await Kamailio.start({
        release,
        config: folder.file('proxy.cfg'),
        defines: { RTPENGINE_SOCK: `udp:127.0.0.1:${controlPort}` },
      });
      let relay: MediaDaemon | undefined;
      try {
        expect(await invite(kamailio.port, 'away')).to.equal('503');
        relay = await MediaDaemon.start('rtprelayd', { controlPort });
        expect(await invite(kamailio.port, 'back')).to.equal('200');
      } finally {
        await relay?.stop();
        await kamailio.stop();
        folder.remove();
      }
    });
