/** Texts about calls (options.md §4, samples of 10.5). */
import { inSlices } from '../../media/slices.js';
import { printable, unprintable } from '../../observe/printable.js';
import type { CliCall, CliParticipant, CliPort, CliSession, CliTarget } from './target.js';

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

function sessionLine(session: CliSession): string {
  return (
    [
      `callid: ${printable(session.callId).padStart(60)}`,
      `deletionmark:${yesNo(session.deletionScheduled).padStart(4)}`,
      `created:${String(session.createdSeconds).padStart(12)}`,
      `proxy:${session.createdFrom}`,
      `redis_keyspace:${session.redisDatabase}`,
      `foreign:${yesNo(session.foreign)}`,
    ].join(' | ') + '\n'
  );
}

/** `%15s:%-5u`, the address empty while it is unknown. */
function endpointText(
  endpoint: { readonly address: string; readonly port: number } | null,
): string {
  const address = endpoint?.address ?? '';
  const shown = address.includes(':') ? `[${address}]` : address;
  return `${shown.padStart(15)}:${String(endpoint?.port ?? 0).padEnd(5)}`;
}

function portLine(port: CliPort): string {
  const ssrc = (port.ssrc ?? 0).toString(16);
  return (
    `-------- Port ${endpointText(port.local)} <> ${endpointText(port.remote)}` +
    `${port.rtcp ? ' (RTCP)' : ''}, SSRC ${ssrc}, ${port.packets} p, ${port.bytes} b, ` +
    `${port.errors} e, ${port.lastPacketSeconds} ts\n`
  );
}

function participantText(participant: CliParticipant): string {
  const { role, durationSeconds } = participant;
  const [tag, label, viaBranch] = [participant.tag, participant.label, participant.viaBranch].map(
    printable,
  );
  const lines = [
    `--- Tag '${tag}', type: ${role}, label '${label}', branch '${viaBranch}', ` +
      `callduration ${durationSeconds.toFixed(6)}\n`,
    ...participant.subscribedTo.map((other) => `---     subscribed to '${printable(other)}'\n`),
    ...participant.subscribers.map((other) => `---     subscription of '${printable(other)}'\n`),
  ];
  for (const media of participant.medias) {
    const codec = printable(media.codec ?? 'unknown codec');
    lines.push(
      `------ Media #${media.index} (${printable(media.type)} over ${printable(media.protocol)}) using ${codec}\n`,
      ...media.ports.map(portLine),
    );
  }
  return lines.join('');
}

/** Everything about one call: `list sessions CALLID`, `call CALLID info`. */
export function callText(call: CliCall): string {
  const head = [
    '',
    `callid: ${printable(call.callId)}`,
    `deletionmark: ${yesNo(call.deletionScheduled)}`,
    `created: ${call.createdSeconds}`,
    `proxy: ${call.createdFrom}`,
    `tos: ${call.tos}`,
    `last_signal: ${call.lastSignalSeconds}`,
    `redis_keyspace: ${call.redisDatabase}`,
    `foreign: ${yesNo(call.foreign)}`,
    '',
    '',
  ].join('\n');
  return `${head}${call.participants.map(participantText).join('')}\n`;
}

/** One participant: `call CALLID tag TAG info`. */
export function tagText(call: CliCall, tag: string): string {
  const participant = call.participants.find(
    (entry) => entry.tag === tag || entry.tag === unprintable(tag),
  );
  return participant === undefined ? `No such tag '${tag}'\n` : participantText(participant);
}

/** `list sessions all|own|foreign`. Others are served between slices of it. */
export async function sessionsText(
  target: CliTarget,
  which: 'all' | 'own' | 'foreign',
): Promise<string | readonly string[]> {
  const lines: string[] = [];
  await inSlices(target.sessions(), (session) => {
    if (which === 'all' || session.foreign === (which === 'foreign')) {
      lines.push(sessionLine(session));
    }
  });
  if (lines.length > 0) return lines;
  return `No ${which === 'all' ? '' : `${which} `}sessions on this media relay.\n`;
}

/** `list numsessions`. */
export function sessionCountsText(target: CliTarget): string {
  const counts = target.sessionCounts();
  return (
    `Current sessions own: ${counts.own}\n` +
    `Current sessions foreign: ${counts.foreign}\n` +
    `Current sessions total: ${counts.own + counts.foreign}\n` +
    `Current transcoded media: ${counts.transcodedMedia}\n` +
    `Current sessions ipv4 only media: ${counts.ipv4Only}\n` +
    `Current sessions ipv6 only media: ${counts.ipv6Only}\n` +
    `Current sessions ip mixed  media: ${counts.mixed}\n`
  );
}

/** `list interfaces`. */
export function interfacesText(target: CliTarget): string {
  return target
    .interfaces()
    .map((entry) => {
      const total = entry.portMax - entry.portMin + 1;
      const percent = ((entry.portsUsed / total) * 100).toFixed(1);
      const family = entry.address.includes(':') ? 'IPv6' : 'IPv4';
      return (
        `Interface '${entry.name}' address '${entry.address}' (${family})\n` +
        ` Port range: ${String(entry.portMin).padStart(5)} - ${String(entry.portMax).padStart(5)}\n` +
        ` Ports used: ${String(entry.portsUsed).padStart(5)} / ${String(total).padStart(5)} ` +
        `(${percent.padStart(5)}%)\n` +
        ` Last port used: ${String(entry.lastPort).padStart(5)}\n`
      );
    })
    .join('');
}
