/** What a process has bound, as the kernel tells it (needs iproute2; root for other users' processes). */
import { execFileSync } from 'node:child_process';

/** `address port` of the UDP sockets of process `pid` in a range of ports, sorted. */
export function boundUdp(
  pid: number,
  range: { readonly min: number; readonly max: number },
): readonly string[] {
  const lines = execFileSync('ss', ['-Huanp'], { encoding: 'latin1', maxBuffer: 1 << 27 }).split(
    '\n',
  );
  const bound = lines.flatMap((line) => {
    if (!line.includes(`pid=${pid},`)) return [];
    const [, address = '', port = ''] = /^\S+\s+\S+\s+\S+\s+(\S+):(\d+)\s/.exec(line) ?? [];
    const inRange = Number(port) >= range.min && Number(port) <= range.max;
    return inRange ? [`${address.replace(/^\[(.*)\]$/, '$1')} ${port}`] : [];
  });
  return bound.sort();
}
