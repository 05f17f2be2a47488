/**
 * What Kamailio 5.6 sent to rtpengine 10.5 in twelve calls, byte for byte, sent to rtprelayd in the
 * same order. The replies must hold the same keys and mean the same.
 */
import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import type { NgDictionary } from '../support/bencode.js';
import { MediaDaemon, subjectKind } from '../support/daemons.js';
import { decodeReply, type NgClient } from '../support/ng-client.js';
import { newerKeys } from './side-by-side/expected-differences.js';
import { sdpSections } from '../support/sdp.js';
import { differences, flattenReply, Masks, type Flat } from './side-by-side/masking.js';

interface Recording {
  readonly file: string;
  readonly callId: string;
  readonly command: string;
  readonly requestRaw: string;
  readonly reply: NgDictionary;
}

const folder = new URL('fixtures/kamailio-5.6/', import.meta.url);

/** Calls that use what rtprelayd does not do yet: their replies are compared by their keys only. */
const laterFeatures: ReadonlyMap<string, string> = new Map([
  ['ng-5@10.78.0.21', 'RTP to SRTP (SDES)'],
  ['ng-6@10.78.0.21', 'RTP to WebRTC (ICE, DTLS-SRTP)'],
  ['ng-8@10.78.0.21', 'transcoding'],
  ['ng-12@10.78.0.21', 'WebRTC to RTP (ICE, DTLS-SRTP)'],
]);

const keysOfLaterReleases: ReadonlySet<string> = new Set(['last redis update', 'created_ts']);

/** The relay's address in the recording, which the test daemon advertises for the loopback. */
const recordedAddress = '10.78.0.100';

interface RecordedFile {
  readonly request: NgDictionary;
  readonly reply: NgDictionary;
  readonly request_raw: string;
}

function read(file: string): Recording {
  const recorded = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as RecordedFile;
  const { 'call-id': callId = '', command = '' } = recorded.request;
  const requestRaw = recorded.request_raw;
  return {
    file,
    callId: String(callId),
    command: String(command),
    requestRaw,
    reply: recorded.reply,
  };
}

const recordings = readdirSync(folder)
  .filter((file) => /^\d{3}-/.test(file))
  .toSorted()
  .map(read);

/** The local address of the sockets is the loopback here. */
function atRecordedAddress(flat: Flat): Flat {
  return new Map(
    [...flat].map(([path, value]) =>
      path.endsWith('.local address') ? [path, `"${recordedAddress}"`] : [path, value],
    ),
  );
}

/** Keys of a reply and the media types of its SDP, for what is compared no further. */
function outline(reply: NgDictionary): unknown {
  const { sdp } = reply;
  const media = typeof sdp === 'string' ? sdpSections(sdp).media : [];
  return {
    keys: Object.keys(reply)
      .filter((key) => !keysOfLaterReleases.has(key))
      .toSorted(),
    result: reply['result'],
    media: media.map(([line]) => [line?.split(' ')[0], line?.split(' ')[1] === '0']),
  };
}

describe(`${subjectKind} and what Kamailio 5.6 sends`, () => {
  let daemon: MediaDaemon;
  let client: NgClient;
  /** Names of the ports of each call, in the recording and here. */
  const masks = new Map<string, { readonly theirs: Masks; readonly ours: Masks }>();

  function masksOf(callId: string): { readonly theirs: Masks; readonly ours: Masks } {
    const known = masks.get(callId);
    if (known !== undefined) return known;
    const made = {
      theirs: new Masks((port) => port >= 40_000 && port < 41_000),
      ours: new Masks((port) => daemon.ownsPort(port)),
    };
    masks.set(callId, made);
    return made;
  }

  before(async () => {
    const interfaces = [`127.0.0.1!${recordedAddress}`];
    daemon = await MediaDaemon.start(subjectKind, { interfaces });
    client = daemon.client();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });

  it('has all forty recordings', () => {
    expect(recordings).to.have.lengthOf(40);
  });

  for (const { file, callId, command, requestRaw, reply } of recordings) {
    const later = laterFeatures.get(callId);
    const depth = later === undefined ? 'in meaning' : `in its keys (${later})`;
    it(`answers ${file} (${command}) as recorded ${depth}`, async () => {
      const space = requestRaw.indexOf(' ');
      const cookie = requestRaw.slice(0, space);
      const body = Buffer.from(requestRaw.slice(space + 1), 'latin1');
      const answered = decodeReply(await client.raw(body, { cookie }));
      expect(outline(answered)).to.deep.equal(outline(reply));
      if (later !== undefined) return;
      const { ours, theirs } = masksOf(callId);
      const found = atRecordedAddress(flattenReply(answered, ours));
      const recorded = atRecordedAddress(flattenReply(reply, theirs));
      const different = differences(recorded, found).filter(
        (each) => !newerKeys.pattern.test(each),
      );
      expect(different).to.deep.equal([]);
    });
  }

  it('answers a repeated request with the same bytes', async () => {
    const [first] = recordings;
    if (first === undefined) throw new Error('no recordings');
    const [cookie = '', ...rest] = first.requestRaw.split(' ');
    const body = Buffer.from(rest.join(' '), 'latin1');
    const replies = [await client.raw(body, { cookie }), await client.raw(body, { cookie })];
    expect(replies[0]).to.deep.equal(replies[1]);
  });
});
