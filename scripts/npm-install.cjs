#!/usr/bin/env node
/**
 * npm's install script of the packed tarball (`npm pack`), which has the addons built: whether they load here, and the
 * compiled code for the Node that is here. In a checkout it does nothing: scripts/bootstrap builds there.
 */
'use strict';
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..');
const fail = (why) => {
  console.error(`rtprelay: ${why}`);
  process.exit(1);
};

if (!existsSync(join(root, 'src'))) {
  const addon = join(root, 'build/Release/rtprelay.node');
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    fail(`this package is for Linux on x64, not ${process.platform} on ${process.arch}`);
  }
  if (!existsSync(addon)) {
    fail('the package has no native engine: pack it in a checkout that is built (scripts/bootstrap run, npm pack)');
  }
  try {
    require(addon);
  } catch (error) {
    fail(`its native engine does not load here (${error.message}): build it from a checkout with scripts/bootstrap run, or use the Debian package`);
  }
  // Without it the daemon starts more slowly.
  spawnSync(process.execPath, [join(__dirname, 'build-cache.mjs')], { stdio: 'inherit', timeout: 60_000 });
}
