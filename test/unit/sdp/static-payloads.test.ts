/** The payload types that need no rtpmap (sdp-rules.md §4). */
import { expect } from 'chai';
import { staticPayload } from '../../../src/sdp/static-payloads.js';
import { body, ModelCall } from '../../support/unit/media.js';

const rtpmaps = [
  '0 PCMU/8000',
  '3 GSM/8000',
  '4 G723/8000',
  '5 DVI4/8000',
  '6 DVI4/16000',
  '7 LPC/8000',
  '8 PCMA/8000',
  '9 G722/8000',
  '10 L16/44100',
  '11 L16/44100/2',
  '12 QCELP/8000',
  '13 CN/8000',
  '14 MPA/90000',
  '15 G728/8000',
  '16 DVI4/11025',
  '17 DVI4/22050',
  '18 G729/8000',
  '25 CelB/90000',
  '26 JPEG/90000',
  '28 nv/90000',
  '31 H261/90000',
  '32 MPV/90000',
  '33 MP2T/90000',
  '34 H263/90000',
];

describe('static payload types', () => {
  it('are written with their rtpmap', () => {
    const formats = rtpmaps.map((line) => line.split(' ')[0]).join(' ');
    const sdp = new ModelCall().offer(
      `v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 6000 RTP/AVP ${formats}\r\n`,
    );
    const written = [...sdp.matchAll(/^a=rtpmap:(.*)\r$/gm)].map(([, value]) => value);
    expect(written).to.deep.equal(rtpmaps);
  });

  it('are no others', () => {
    const known = new Set(rtpmaps.map((line) => Number(line.split(' ')[0])));
    for (let type = 0; type < 128; type++) {
      expect(staticPayload(type) !== null, String(type)).to.equal(known.has(type));
    }
  });

  it('yield to an rtpmap of their number', () => {
    const sdp = new ModelCall().offer(body(6000, ['a=rtpmap:8 PCMA/16000']));
    expect(sdp).to.include('a=rtpmap:8 PCMA/16000\r\n').and.not.include('PCMA/8000');
  });
});
