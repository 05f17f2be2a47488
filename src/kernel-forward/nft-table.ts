/** The table of an instance: found, made, removed. Only one living process has it. */
import { setTimeout as pause } from 'node:timers/promises';
import { newNft, type Nft } from '../native/nft.js';
import { KernelForwardError } from './forwarder.js';
import { parseInstance, parseListing, parseTableNames, type TableListing } from './nft-listing.js';
import { deleteTableText, maxInstances, tableName, tableText, type Table } from './nft-ruleset.js';

/** Waiting for another instance that is being started: ms, times. */
const lockPauseMs = 10;
const lockAttempts = 200;

/** A table that is this process' own now. */
export interface OwnTable {
  /** Has the lock of the table. */
  readonly nft: Nft;
  readonly table: Table;
  /** What an earlier process has left in it; null: it is empty. */
  readonly kept: TableListing | null;
  /** Sentences for the log. */
  readonly notes: readonly string[];
}

/** The first thing that libnftables complains of, in a line. */
export function reasonOf(error: string): string {
  const reason = /Error: (.*)/.exec(error)?.[1] ?? error.trim().split('\n')[0] ?? error;
  return reason.replace(/^Could not process rule: /, '');
}

/** @throws KernelForwardError */
function list(nft: Nft, what: string): string {
  const { error, output } = nft.run(`list ${what}`, true);
  if (error !== null) throw new KernelForwardError(`nftables: ${reasonOf(error)}`);
  return output;
}

function instanceOf(nft: Nft, table: string): number | null {
  const { error, output } = nft.run(`list map inet ${table} about`, true);
  return error === null ? parseInstance(output) : null;
}

/** Two instances that are started together must not choose the same number. */
async function lockInstances(): Promise<Nft> {
  const lock = newNft();
  for (let attempt = 0; attempt < lockAttempts; attempt++) {
    if (lock.lock('rtprelay instances') === null) return lock;
    await pause(lockPauseMs);
  }
  throw new KernelForwardError('another instance does not finish its start');
}

/** An empty table with an instance number that no other has. @throws KernelForwardError */
async function makeTable(nft: Nft, name: string, maxFlows: number): Promise<Table> {
  const lock = await lockInstances();
  try {
    const names = parseTableNames(list(nft, 'tables inet'));
    const others = names.filter((other) => other.startsWith('rtprelay_') && other !== name);
    const taken = new Set(others.map((other) => instanceOf(nft, other)));
    const numbers = Array.from({ length: maxInstances }, (_, number) => number);
    const instance = numbers.find((number) => !taken.has(number));
    if (instance === undefined)
      throw new KernelForwardError(`there are ${maxInstances} tables of other instances`);
    const table = { name, instance, maxFlows };
    const { error } = nft.run(tableText(table), false);
    if (error !== null) throw new KernelForwardError(`nftables: ${reasonOf(error)}`);
    return table;
  } finally {
    lock.unlock();
  }
}

/**
 * The table of an instance, with what an earlier process has left there if that can be used.
 * @throws KernelForwardError, NativeRelayError
 */
export async function openTable(instance: string, maxFlows: number): Promise<OwnTable> {
  const name = tableName(instance);
  const nft = newNft();
  const refusal = nft.lock(name);
  if (refusal !== null) throw new KernelForwardError(`table ${name}: ${refusal}`);
  try {
    const exists = parseTableNames(list(nft, 'tables inet')).includes(name);
    const found = exists ? parseListing(list(nft, `table inet ${name}`), name) : null;
    if (found !== null && found.flows.length <= maxFlows) {
      return { nft, table: { ...found.table, maxFlows }, kept: found, notes: [] };
    }
    const notes = exists
      ? [`table ${name} cannot be taken over (another layout) and is made anew`]
      : [];
    return { nft, table: await makeTable(nft, name, maxFlows), kept: null, notes };
  } catch (error) {
    nft.unlock();
    throw error;
  }
}

/** Of a killed process that forwarded by nftables, when this one does not. */
export function removeLeftTable(instance: string): void {
  let native: Nft;
  try {
    native = newNft();
  } catch {
    return;
  }
  const name = tableName(instance);
  // The whole rule set would be read to remove what is not there.
  if (!native.exists(name, 'counted')) return;
  // Locked: a living process has it. An error: it is not ours to remove.
  if (native.lock(name) === null) native.run(deleteTableText(name), false);
  native.unlock();
}
