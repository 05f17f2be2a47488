/** What the journal says of the process as a whole. */
import type { CloseReason, Counters } from '../../observe/counters.js';

/** Numbers of `Counters` that go on in the next process. */
const sums = [
  ...(['managedSessions', 'rejectedSessions', 'maxManagedSessions', 'takeovers'] as const),
  ...(['takenOver', 'zeroWayStreams', 'oneWayStreams', 'durationSeconds'] as const),
  ...(['duration2Seconds', 'mosSum', 'mos2Sum', 'mosSamples'] as const),
];

/** @param isRestored everything that Redis held has been restored. */
export function processRecord(counters: Counters, isRestored: boolean): Buffer {
  const proxies = [...counters.proxies].map(([proxy, { commands, errors }]) => ({
    ...{ proxy, errors },
    commands: [...commands].map(([command, { count, seconds }]) => [command, count, seconds]),
  }));
  const numbers = Object.fromEntries(sums.map((name) => [name, counters[name]]));
  return Buffer.from(
    JSON.stringify({
      ...{ isRestored, numbers, closed: counters.closed, proxies },
      quality: Object.fromEntries(counters.quality.entries()),
    }),
    'utf8',
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** Adds what a former process has counted. Returns whether it had restored what Redis held. */
export function goOnFrom(record: Buffer | null, counters: Counters): boolean {
  if (record === null) return false;
  let read: unknown;
  try {
    read = JSON.parse(record.toString('utf8'));
  } catch {
    // Of another version, perhaps: its sums are lost.
  }
  if (!isObject(read)) return false;
  const { numbers, closed, proxies, isRestored } = read;
  if (isObject(numbers)) for (const name of sums) counters[name] += numberOf(numbers[name]);
  if (isObject(closed)) {
    for (const reason of Object.keys(counters.closed) as CloseReason[])
      counters.closed[reason] += numberOf(closed[reason]);
  }
  if (isObject(read['quality'])) {
    const entries = Object.entries(read['quality']);
    counters.quality.goOnFrom(new Map(entries.map(([name, value]) => [name, numberOf(value)])));
  }
  for (const each of listOf(proxies)) if (isObject(each)) goOnFromProxy(each, counters);
  return isRestored === true;
}

function goOnFromProxy(
  { proxy, errors, commands }: Record<string, unknown>,
  counters: Counters,
): void {
  if (typeof proxy !== 'string') return;
  const known = new Map<string, { count: number; seconds: number }>();
  for (const entry of listOf(commands)) {
    const [command, count, seconds] = listOf(entry);
    if (typeof command === 'string')
      known.set(command, { count: numberOf(count), seconds: numberOf(seconds) });
  }
  counters.proxies.set(proxy, { commands: known, errors: numberOf(errors) });
}
