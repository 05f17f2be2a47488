import { expect } from 'chai';
import { formatOfRelease } from '../../../src/daemon/installed-rtpengine.js';

describe('the format that an installed rtpengine reads', () => {
  const releases: readonly (readonly [string, string | undefined])[] = [
    ['Version: 10.5.3.5-1+deb12u1\n', 'JSON-10.5'],
    ['Version: 9.5.0.3\n', 'JSON-10.5'],
    ['Version: 12.5.1.31-1', 'JSON-12.5'],
    ['some warning\nVersion: 26.0.1.26+0~mr26.0.1.26\n', 'JSON'],
    ['Version: 0.1.0\n', undefined],
    ['Version: x\n', undefined],
    ['', undefined],
  ];
  for (const [text, format] of releases) {
    it(`${JSON.stringify(text)}: ${format ?? 'none'}`, () => {
      expect(formatOfRelease(text)?.format).to.equal(format);
    });
  }
});
