/** Node of the package, without what only add-ons for V8 look up: it does what it did. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ElfError, ElfFile } from '../../../packaging/elf.js';
import { slim } from '../../../packaging/slim-node.js';
import { TemporaryFolder } from '../../support/child-process.js';

const addon = fileURLToPath(new URL('../../../build/Release/rtprelay.node', import.meta.url));
/** Of Node's own releases; a distribution's has its code in a library, 24 has no room to give. */
const major = Number(process.versions.node.split('.', 1));

describe("Node's executable without names of V8", function () {
  this.timeout(60_000);

  it('is smaller, has the same code, and finds what add-ons by Node-API want', function () {
    const whole = readFileSync(process.execPath);
    if (whole.length < 50e6 || major > 22) this.skip();
    const folder = new TemporaryFolder('slim');
    try {
      const made = slim(whole);
      expect(whole.length - made.length).to.be.greaterThan(5e6);
      const [before, after] = [new ElfFile(whole), new ElfFile(made)];
      for (const name of ['.text', '.rodata', '.data', '.eh_frame']) {
        const [old, now] = [before.section(name), after.section(name)];
        expect(now.address).to.equal(old.address);
        expect(after.content(now).equals(before.content(old)), name).to.equal(true);
      }
      const path = folder.file('node');
      writeFileSync(path, made, { mode: 0o755 });
      const program = `const addon = require(process.argv[1]);
        process.stdout.write([process.version, 'Relay' in addon, addon.process.beginCollection(), new Intl.NumberFormat('de').format(1234.5),
          require('node:crypto').createHash('sha256').update('a').digest('hex')].join(' '));`;
      // All names are looked up at once.
      const env = { ...process.env, LD_BIND_NOW: '1' };
      expect(execFileSync(path, ['--eval', program, addon], { encoding: 'utf8', env })).to.equal(
        `${process.version} true true 1.234,5 ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb`,
      );
    } finally {
      folder.remove();
    }
  });

  it('is refused where it is laid out otherwise', () => {
    expect(() => slim(Buffer.from('#!/bin/sh\n'))).to.throw(ElfError, 'no ELF file');
    expect(() => slim(readFileSync(addon))).to.throw(ElfError);
  });
});
