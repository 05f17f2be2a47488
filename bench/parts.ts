/**
 * What single parts cost, without a daemon: reading a configuration, writing a call for Redis, flows in
 * nftables. See bench/README.md.
 */
import type { Flow } from '../src/kernel-forward/flows.js';
import type { Endpoint } from '../src/media/call-state.js';
import { decodeCall, encodeCall } from '../src/redis-store/codec.js';
import type { StoredFormat } from '../src/redis-store/schema.js';
import { NetworkNamespace, namespacesAllowed } from '../test/support/namespaces.js';
import { NftDriver } from '../test/support/nft-driver-process.js';
import type { DriverCall } from '../test/support/nft-driver.js';
import { configOf } from '../test/support/unit/config.js';
import { sample, settings } from '../test/support/unit/redis-store.js';
import { positive, readArguments } from './lib/arguments.js';
import { addSample, report, type Samples } from './lib/report.js';
import { machine } from './lib/rig.js';

const given = readArguments(process.argv.slice(2), { runs: '5', flows: '10000' });
const runs = positive('runs', given.runs);
const flowCount = positive('flows', given.flows);
const samples: Samples = new Map();
const add = (measure: string, value: number): void => {
  addSample(samples, measure, 'rtprelayd', value);
};

/** Microseconds of CPU time for one of `turns`. */
function microsEach(turns: number, work: () => void): number {
  const before = process.cpuUsage();
  for (let turn = 0; turn < turns; turn += 1) work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / turns;
}

function configuration(): void {
  const text = '[rtpengine]\ninterface = 192.0.2.1\nlisten-ng = 127.0.0.1:2223\ntos = 184\n';
  const path = '/etc/relay.conf';
  const load = (): void => void configOf([`--config-file=${path}`], { [path]: text });
  microsEach(20, load);
  add('reading a configuration, us', microsEach(100, load));
}

function stored(): void {
  const { state } = decodeCall('x', sample('02-relay.json'), settings);
  for (const format of ['JSON', 'bencode', 'JSON-10.5'] satisfies StoredFormat[]) {
    const encode = (): void => void encodeCall(state, format, settings);
    microsEach(500, encode);
    add(`writing a call as ${format}, us`, microsEach(1000, encode));
  }
}

const at = (address: string, port: number): Endpoint => ({ address, port });

function flowAt(port: number): Flow {
  return {
    expected: at('10.1.0.2', 4000),
    local: at('10.1.0.1', port),
    source: at('10.2.0.1', 30_002),
    destination: at('10.2.0.2', 4000),
    ...{ tos: 184, opaque: false, excludedPayloadTypes: [] },
    ...{ rtcpOnly: false, rtcp: null, clockRate: 8000 },
  };
}

async function nftables(): Promise<void> {
  const namespace = new NetworkNamespace('parts');
  const driver = await NftDriver.start(namespace, 'parts', String(flowCount));
  try {
    const flows = Array.from({ length: flowCount }, (_, index) => flowAt(20_000 + index));
    const locals = flows.map(({ local }) => local);
    const timed = async (what: string, call: DriverCall): Promise<void> => {
      const began = performance.now();
      await driver.call(call);
      add(`nftables: ${what}, ms`, performance.now() - began);
    };
    await timed(`${flowCount} flows set`, { set: flows });
    await timed(`${flowCount} flows read`, { read: locals });
    await timed('one flow of them changed', { set: [{ ...flowAt(20_000), tos: 0 }] });
    await timed(`${flowCount} flows removed`, { remove: locals });
  } finally {
    await driver.kill();
    namespace.remove();
  }
}

for (let run = 0; run < runs; run += 1) {
  configuration();
  stored();
  if (namespacesAllowed()) await nftables();
}
report('parts', machine(), samples);
