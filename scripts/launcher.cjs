#!/usr/bin/env node
/**
 * What is installed as `rtprelayd`: runs the bundle beside it from V8's code cache, so that nothing is
 * compiled on the way to the first answer. A call on a node whose daemon died waits for that. Without
 * a cache, or with that of another Node, the bundle is compiled as usual.
 */
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const vm = require('node:vm');

const filename = `${__dirname}/rtprelayd.bundle.js`;
let cachedData;
try {
  // V8 refuses what another version has made: each Node has its own.
  cachedData = readFileSync(`${__dirname}/cache/${process.version}`);
} catch {
  // Not made yet: scripts/build-cache.mjs makes it.
}
const script = new vm.Script(readFileSync(filename, 'utf8'), { filename, cachedData });
// For scripts/build-cache.mjs: keep what has been compiled until the process ends. V8's flags must be those of the start
// by then (src/daemon/process/engine.ts).
const keep = process.env.RTPRELAY_KEEP_CODE_CACHE;
if (keep !== undefined) {
  if (script.cachedDataRejected) console.error('the code cache is refused');
  process.on('exit', () => writeFileSync(keep, script.createCachedData()));
}
script.runInThisContext()(require, __dirname, filename);
