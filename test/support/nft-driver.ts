/**
 * The nftables back end alone in a process, so that it can run in a network namespace. A line of JSON
 * on stdin is a call of one of its methods, a line on stdout what it returned.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Flow } from '../../src/kernel-forward/flows.js';
import { NftForwarder } from '../../src/kernel-forward/nft-forwarder.js';
import type { Endpoint } from '../../src/media/call-state.js';

const [instance = 'test', maxFlows = '100', setting = ''] = process.argv.slice(2);

const say = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value ?? null)}\n`);
};

const forwarder = await NftForwarder.open({
  instance,
  maxFlows: Number(maxFlows),
  families: ['ipv4', 'ipv6'],
  setForwarding: setting === 'set-forwarding',
  trialPackets: 0,
  files: {
    read: (path) => {
      try {
        return readFileSync(path, 'latin1');
      } catch {
        return null;
      }
    },
    write: (path, text) => {
      writeFileSync(path, text);
      return null;
    },
  },
  monotonicMicros: () => Number(process.hrtime.bigint()) / 1000,
  warn: (message) => process.stderr.write(`${message}\n`),
});

export interface DriverCall {
  readonly attach?: string;
  readonly set?: readonly Flow[];
  readonly remove?: readonly Endpoint[];
  readonly read?: readonly Endpoint[];
  readonly ask?: 'flows' | 'totals' | 'supervise' | 'removeAll' | 'adopted' | 'notes';
}

function run(call: DriverCall): unknown {
  if (call.attach !== undefined) return forwarder.attach(call.attach);
  if (call.set !== undefined) return forwarder.set(call.set);
  if (call.remove !== undefined) return forwarder.remove(call.remove);
  if (call.read !== undefined) return forwarder.read(call.read);
  switch (call.ask) {
    case 'flows':
      return [...forwarder.flows()];
    case 'totals':
      return forwarder.totals();
    case 'supervise':
      return forwarder.supervise();
    case 'removeAll':
      return forwarder.removeAll();
    case 'adopted':
      return forwarder.adopted;
    default:
      return forwarder.notes;
  }
}

say('ready');
createInterface({ input: process.stdin }).on('line', (line) => {
  say(run(JSON.parse(line) as DriverCall));
});
