import { expect } from 'chai';
import fc from 'fast-check';
import { decodeCall } from '../../../src/redis-store/codec.js';
import { mediaFlagTables, streamFlagTables } from '../../../src/redis-store/flags.js';
import { MemoryStore } from '../../../src/redis-store/memory-store.js';
import {
  encodePlain,
  percentDecode,
  percentEncode,
} from '../../../src/redis-store/percent-encoding.js';
import { packList, unpackList } from '../../../src/redis-store/schema.js';
import { sample, settings } from '../../support/unit/redis-store.js';

const bytes = fc.uint8Array().map((array) => Buffer.from(array).toString('latin1'));

describe('percent-encoding of stored strings', () => {
  it('touches controls, non-ASCII, percent, backslash and quotes only', () => {
    const all = Array.from({ length: 256 }, (_, byte) => byte);
    const touched = all.filter((byte) => percentEncode(String.fromCharCode(byte)).length > 1);
    const expected = all.filter(
      (byte) => byte < 0x20 || byte > 0x7e || '%\\\'"'.includes(String.fromCharCode(byte)),
    );
    expect(touched).to.deep.equal(expected);
    expect(percentEncode('\x00\x1f~\x7fÿ%')).to.equal('%00%1f~%7f%ff%25');
  });

  it('is undone by decoding', () => {
    fc.assert(
      fc.property(bytes, (text) => {
        expect(percentDecode(percentEncode(text))).to.equal(text);
        expect(percentDecode(encodePlain(text))).to.equal(text);
      }),
    );
  });

  it('takes a stray percent sign for itself', () => {
    expect(percentDecode('f%t 100% %4')).to.equal('f%t 100% %4');
    expect(percentDecode('%4A%4a')).to.equal('JJ');
  });

  it('leaves plain strings of the current JSON as they are', () => {
    expect(encodePlain('tag "x" \\ 1')).to.equal('tag "x" \\ 1');
    expect(encodePlain('50%')).to.equal('50%25');
    const umlaut = Buffer.from('ü').toString('latin1');
    expect(encodePlain(umlaut)).to.equal(umlaut);
    expect(encodePlain('\xff')).to.equal('%ff');
  });
});

describe('stored flags', () => {
  it('have the numbers of the layout', () => {
    const encode = streamFlagTables['10.5'].encode(
      new Set(['rtp', 'filled', 'confirmed']),
      undefined,
    );
    expect(encode).to.deep.equal({ bits: String(2 ** 16 + 2 ** 20 + 2 ** 21), others: '' });
    expect(streamFlagTables.current.encode(new Set(['confirmed', 'rtp']), undefined)).to.deep.equal(
      {
        bits: '65536',
        others: 'confirmed',
      },
    );
    expect(mediaFlagTables.current.encode(new Set(['ice2', 'send']), undefined).bits).to.equal(
      String(2n ** 42n + 4n),
    );
  });

  it('have other names for bit 23 of a media in either layout', () => {
    expect([...(mediaFlagTables['10.5'].decode('8388608', '')?.flags ?? [])]).to.deep.equal([
      'transcode',
    ]);
    expect([...(mediaFlagTables.current.decode('8388608', '')?.flags ?? [])]).to.deep.equal([
      'reorder-forced',
    ]);
  });

  it('refuse what is no number of 64 bits', () => {
    for (const text of ['', '-1', '1.5', 'x', '18446744073709551616', '0x10']) {
      expect(mediaFlagTables.current.decode(text, ''), text).to.equal(null);
    }
    expect(mediaFlagTables.current.decode('18446744073709551615', '')).not.to.equal(null);
  });
});

describe('a list in one field', () => {
  it('keeps any strings', () => {
    fc.assert(
      fc.property(fc.array(bytes), (items) => {
        expect(unpackList(percentDecode(packList(items)))).to.deep.equal(items);
      }),
    );
  });
});

describe('stores without a server', () => {
  const { state } = decodeCall('x', sample('02-relay.json'), settings);

  it('acknowledge everything', async () => {
    const store = new MemoryStore();
    expect(await store.save(state)).to.equal('committed');
    expect(await store.remove('x')).to.equal('committed');
    expect((await store.restore()).found).to.equal(0);
  });
});
