/** The rows of `test/golden/packets.txt`: datagrams that every way through the relay is held to. */
import { readFileSync } from 'node:fs';

export interface PacketRow {
  readonly kind: string;
  readonly hex: string;
  /** `forward`, or the reason why a kernel leaves it to the daemon. */
  readonly kernel: string;
}

export function packetTable(): readonly PacketRow[] {
  const text = readFileSync(new URL('../golden/packets.txt', import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [kind = '', size = '', first = '', ...kernel] = line.split(/\s+/);
    const hex = (first === '-' ? '' : first).padEnd(2 * Number(size), '0');
    return { kind, hex, kernel: kernel.join(' ') };
  });
}
