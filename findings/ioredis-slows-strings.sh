#!/usr/bin/env bash
# ioredis 6.0.0 (npm), the Redis client, loaded beside a parser of text (SDP, SIP); Node 20.20, 22.23 and 24.
#
# Guessed: a library that is loaded and not used costs its memory and nothing else; the more so as nothing of it lies on the
#          path of the text.
# Seen:    from require('ioredis') on, every method call on any string of the process takes three to five times as long, for
#          good. ioredis has one class that extends String, for verbatim
#          strings of RESP3. The class alone does it, without an instance: V8 then takes String.prototype for an object
#          that is being set up and keeps it as a hash table, so that no call finds its method where it was last time. A
#          class that extends Array or Map does no such thing to theirs.
# A daemon with Redis parses each SDP more slowly than one without, and no profile names Redis. Reading one property of
# String.prototype itself in a loop, some thousand times, has V8 make it fast again, for code that has not run meanwhile.
#
# Output seen (Node 20.20.2):
#   methods of strings are found at once: before true, loaded false, after reads true
#   slower while loaded: true, after reads: false
# Exits 0 when it is still so, 1 when the behaviour has changed, 2 when it cannot be tried.
set -u
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
npm init -y >/dev/null 2>&1 && npm install --ignore-scripts --no-audit --no-fund ioredis@6.0.0 >npm.log 2>&1 ||
  { tail -n 3 npm.log; exit 2; }
cat >strings.cjs <<'JS'
const { setFlagsFromString } = require('node:v8');
const { runInThisContext } = require('node:vm');
setFlagsFromString('--allow-natives-syntax');
const areFast = () => runInThisContext('%HasFastProperties(String.prototype)');

const body = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n'.repeat(200);
/** A function of its own for each measurement: none remembers what strings were like before. */
const newSum = () =>
  runInThisContext(`(text) => {
    let total = 0;
    for (let at = 0; at < text.length; at += 1) total += text.charCodeAt(at);
    return total;
  }`);
/** The least of many runs, so that what else the machine does is no matter. */
function nanoseconds() {
  const sum = newSum();
  let least = Infinity;
  for (let round = 0; round < 400; round += 1) {
    const start = process.hrtime.bigint();
    sum(body);
    least = Math.min(least, Number(process.hrtime.bigint() - start));
  }
  return least;
}

const [before, beforeFast] = [nanoseconds(), areFast()];
require('ioredis');
const [loaded, loadedFast] = [nanoseconds(), areFast()];
let found = 0;
for (let read = 0; read < 10_000; read += 1)
  if (typeof String.prototype.charCodeAt === 'function') found += 1;
const afterFast = areFast();
const after = nanoseconds();
console.log(`methods of strings are found at once: before ${beforeFast}, loaded ${loadedFast}, after reads ${afterFast}`);
console.log(`slower while loaded: ${loaded > 2 * before}, after reads: ${after > 2 * before}`);
process.exit(
  beforeFast && !loadedFast && afterFast && loaded > 2 * before && after <= 2 * before && found > 0 ? 0 : 1,
);
JS
node strings.cjs
