/** `tsx packaging/documents/write.ts FOLDER VERSION DATE [RUNTIME]`: what the package has of generated files. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bashCompletion, zshCompletion } from './completion.js';
import { configFile } from './config-file.js';
import { copyrightFile } from './copyright.js';
import { configPage, controlPage, daemonPage, usagePage } from './man-pages.js';

const [folder, version, date, runtime = 'system'] = process.argv.slice(2);
if (folder === undefined || version === undefined || date === undefined) {
  process.stderr.write('usage: write.ts FOLDER VERSION DATE\n');
  process.exit(2);
}
const root = fileURLToPath(new URL('../../', import.meta.url));
const edition = { version, date };
const switchUsage = execFileSync(join(root, 'packaging/files/rtprelay-switch'), ['--help'], {
  encoding: 'utf8',
});
/** Its first comment is its usage. */
const probeUsage = readFileSync(join(root, 'deploy/bin/rtprelay-probe'), 'utf8')
  .split('\n')
  .slice(1)
  .filter((_line, at, all) => all.slice(0, at + 1).every((each) => each.startsWith('#')))
  .map((line) => line.replace(/^# ?/, ''))
  .join('\n');
const files: Readonly<Record<string, string>> = {
  'usr/share/rtprelay/etc/rtprelay/rtprelay.conf': configFile(),
  'usr/share/man/man8/rtprelayd.8': daemonPage(edition),
  'usr/share/man/man5/rtprelay.conf.5': configPage(edition),
  'usr/share/man/man1/rtprelayctl.1': controlPage(edition),
  'usr/share/man/man8/rtprelay-switch.8': usagePage(
    edition,
    { name: 'rtprelay-switch', section: 8, what: "rtpengine's place on this machine" },
    switchUsage,
  ),
  'usr/share/man/man1/rtprelay-probe.1': usagePage(
    edition,
    { name: 'rtprelay-probe', section: 1, what: 'asks a media relay for monitors' },
    probeUsage,
  ),
  'usr/share/bash-completion/completions/rtprelayd': bashCompletion(),
  'usr/share/zsh/vendor-completions/_rtprelayd': zshCompletion(),
  'usr/share/doc/rtprelay/copyright': copyrightFile(root, runtime !== 'system'),
};
for (const [path, text] of Object.entries(files)) {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
