/** keepalived on a node of a test's pair, with a configuration of deploy/keepalived. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TemporaryFolder, TestProcess } from './child-process.js';
import type { PairNode } from './pair.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** To measure what it costs: KEEPALIVED_ADVERT_INT=0.02 npx mocha test/scenario/keepalived.test.ts */
const interval = process.env['KEEPALIVED_ADVERT_INT'];

export interface KeepalivedOptions {
  /** File of deploy/keepalived. */
  readonly configuration: 'pair.conf' | 'crossed-pair.conf';
  /** What an operator would change. */
  readonly changes: readonly (readonly [string | RegExp, string])[];
}

/**
 * Starts keepalived on a node; it ends with the node. Its files lie in `folder`, because all nodes share
 * the machine's /run.
 */
export function startKeepalived(
  node: PairNode,
  folder: TemporaryFolder,
  options: KeepalivedOptions,
): TestProcess {
  let text = readFileSync(`${root}deploy/keepalived/${options.configuration}`, 'latin1');
  const changes: KeepalivedOptions['changes'] = [
    [/\/usr\/bin\/rtprelay-probe/g, `${root}deploy/bin/rtprelay-probe`],
    // The checkout may lie in a folder that others can write to.
    [/^ *enable_script_security$/m, ''],
    [/^ *script_user .*$/m, 'script_user root'],
    ...(interval === undefined ? [] : ([[/advert_int .*$/m, `advert_int ${interval}`]] as const)),
    ...options.changes,
  ];
  for (const [from, to] of changes) {
    if (text.search(from) < 0) throw new Error(`${options.configuration} has no ${String(from)}`);
    text = text.replaceAll(
      from instanceof RegExp && !from.global ? new RegExp(from, 'gm') : from,
      to,
    );
  }
  const file = folder.file(`keepalived-${node.number}.conf`);
  writeFileSync(file, text);
  const words = ['--dont-fork', '--log-console', '--vrrp', `--use-file=${file}`];
  words.push('--config-id', node.number === 1 ? 'one' : 'two');
  words.push(`--pid=${folder.file(`pid-${node.number}`)}`);
  words.push(`--vrrp_pid=${folder.file(`vrrp-${node.number}`)}`);
  // As keepalived.service.conf does: after a kill the old files keep it from starting.
  for (const name of ['pid', 'vrrp'])
    rmSync(folder.file(`${name}-${node.number}`), { force: true });
  return node.start('keepalived', 'keepalived', words);
}
