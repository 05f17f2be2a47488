/** Texts of `list totals` and `list counters` (samples of 10.5), from the statistics sections. */
import type { CliStatistics } from './target.js';

type Section = Readonly<Record<string, number>>;

function line(title: string, value: string): string {
  return ` ${title.padEnd(48)}:${value}\n`;
}

function count(section: Section, key: string): string {
  return String(section[key] ?? 0);
}

function decimal(section: Section, key: string): string {
  return (section[key] ?? 0).toFixed(6);
}

function counts(
  section: Section,
  rows: readonly (readonly [title: string, key: string])[],
): string {
  return rows.map(([title, key]) => line(title, count(section, key))).join('');
}

const rateRows = [
  ['Packets per second (userspace)', 'packetrate_user'],
  ['Bytes per second (userspace)', 'byterate_user'],
  ['Errors per second (userspace)', 'errorrate_user'],
  ['Packets per second (kernel)', 'packetrate_kernel'],
  ['Bytes per second (kernel)', 'byterate_kernel'],
  ['Errors per second (kernel)', 'errorrate_kernel'],
  ['Packets per second (total)', 'packetrate'],
  ['Bytes per second (total)', 'byterate'],
  ['Errors per second (total)', 'errorrate'],
] as const;

const currentRows = [
  ['Owned sessions', 'sessionsown'],
  ['Foreign sessions', 'sessionsforeign'],
  ['Total sessions', 'sessionstotal'],
  ['Transcoded media', 'transcodedmedia'],
  ...rateRows,
  ['Userspace-only media streams', 'media_userspace'],
  ['Kernel-only media streams', 'media_kernel'],
  ['Mixed kernel/userspace media streams', 'media_mixed'],
] as const;

const totalRows = [
  ['Total managed sessions', 'managedsessions'],
  ['Total rejected sessions', 'rejectedsessions'],
  ['Total timed-out sessions via TIMEOUT', 'timeoutsessions'],
  ['Total timed-out sessions via SILENT_TIMEOUT', 'silenttimeoutsessions'],
  ['Total timed-out sessions via FINAL_TIMEOUT', 'finaltimeoutsessions'],
  ['Total timed-out sessions via OFFER_TIMEOUT', 'offertimeoutsessions'],
  ['Total regular terminated sessions', 'regularterminatedsessions'],
  ['Total forced terminated sessions', 'forcedterminatedsessions'],
  ['Total relayed packets (userspace)', 'relayedpackets_user'],
  ['Total relayed packet errors (userspace)', 'relayedpacketerrors_user'],
  ['Total relayed bytes (userspace)', 'relayedbytes_user'],
  ['Total relayed packets (kernel)', 'relayedpackets_kernel'],
  ['Total relayed packet errors (kernel)', 'relayedpacketerrors_kernel'],
  ['Total relayed bytes (kernel)', 'relayedbytes_kernel'],
  ['Total relayed packets', 'relayedpackets'],
  ['Total relayed packet errors', 'relayedpacketerrors'],
  ['Total relayed bytes', 'relayedbytes'],
  ['Total number of streams with no relayed packets', 'zerowaystreams'],
  ['Total number of 1-way streams', 'onewaystreams'],
] as const;

function totalsSection(section: Section): string {
  return (
    line('Uptime of rtpengine', `${count(section, 'uptime')} seconds`) +
    counts(section, totalRows) +
    line('Average call duration', `${decimal(section, 'avgcallduration')} seconds`) +
    line('Total calls duration', `${decimal(section, 'totalcallsduration')} seconds`) +
    line(
      'Total calls duration squared',
      `${decimal(section, 'totalcallsduration2')} seconds squared`,
    ) +
    line(
      'Total calls duration standard deviation',
      `${decimal(section, 'totalcallsduration_stddev')} seconds`,
    )
  );
}

function intervalSection(section: Section): string {
  const commands = Object.keys(section).flatMap((key) => {
    const name = /^min(.+)delay$/.exec(key)?.[1];
    return name === undefined ? [] : [name];
  });
  const triple = (name: string, what: string, show: (key: string) => string): string =>
    ['min', 'max', 'avg'].map((kind) => show(`${kind}${name}${what}`)).join('/');
  return (
    line('Total calls duration', `${decimal(section, 'totalcallsduration')} seconds`) +
    '\n' +
    line('Min managed sessions', count(section, 'minmanagedsessions')) +
    line('Max managed sessions', count(section, 'maxmanagedsessions')) +
    commands
      .map((name) => {
        const values = triple(name, 'delay', (key) => decimal(section, key));
        return line(`Min/Max/Avg ${name} processing delay`, `${values} sec`);
      })
      .join('') +
    commands
      .map((name) => {
        const values = triple(name, 'requestrate', (key) => count(section, key));
        return line(`Min/Max/Avg ${name} requests per second`, `${values} per sec`);
      })
      .join('')
  );
}

function mosSection(section: Section): string {
  return (
    line('Sum of all MOS values sampled', decimal(section, 'mos_total')) +
    line('Sum of all MOS square values sampled', decimal(section, 'mos2_total')) +
    line('Total number of MOS samples', count(section, 'mos_samples_total')) +
    line('Average MOS', decimal(section, 'mos_average')) +
    line('MOS standard deviation', decimal(section, 'mos_stddev'))
  );
}

/** Column titles of the control statistics with the short command names of the keys. */
const proxyColumns = [
  ['Ping', 'ping'],
  ['Offer', 'offer'],
  ['Answer', 'answer'],
  ['Delete', 'delete'],
  ['Query', 'query'],
  ['List', 'list'],
  ['StartRec', 'startrec'],
  ['StopRec', 'stoprec'],
  ['StartFwd', 'startfwd'],
  ['StopFwd', 'stopfwd'],
  ['BlkDTMF', 'blkdtmf'],
  ['UnblkDTMF', 'unblkdtmf'],
  ['BlkMedia', 'blkmedia'],
  ['UnblkMedia', 'unblkmedia'],
  ['PlayMedia', 'playmedia'],
  ['StopMedia', 'stopmedia'],
  ['PlayDTMF', 'playdtmf'],
  ['Stats', 'stats'],
  ['SlnMedia', 'slnmedia'],
  ['UnslnMedia', 'unslnmedia'],
  ['Pub', 'pub'],
  ['SubReq', 'subreq'],
  ['SubAns', 'subans'],
  ['Unsub', 'unsub'],
] as const;

function controlSection(section: CliStatistics['controlstatistics']): string {
  const row = (first: string, cells: readonly string[]): string =>
    ` ${first.padStart(20)} | ${cells.map((cell) => cell.padStart(10)).join(' | ')} \n`;
  const proxies = section['proxies'];
  const rows = (typeof proxies === 'object' ? proxies : []).map((proxy) =>
    row(
      String(proxy['proxy'] ?? ''),
      proxyColumns.map(([, key]) => String(proxy[`${key}count`] ?? 0)),
    ),
  );
  const titles = proxyColumns.map(([title]) => title);
  return `${row('Proxy', titles)}${rows.join('')}`;
}

/** `list totals`. */
export function totalsText(statistics: CliStatistics): string {
  return (
    `\nStatistics over currently running sessions:\n\n` +
    counts(statistics.currentstatistics, currentRows) +
    `\nTotal statistics (does not include current running sessions):\n\n` +
    totalsSection(statistics.totalstatistics) +
    `\n\nGraphite interval statistics (last reported values to graphite):\n` +
    intervalSection(statistics.intervalstatistics) +
    `\n\nMOS statistics:\n\n` +
    mosSection(statistics.mos) +
    `\n\nControl statistics:\n\n` +
    controlSection(statistics.controlstatistics) +
    `\n\n\n\n`
  );
}

/** `list counters`. */
export function countersText(statistics: CliStatistics): string {
  return `\nCurrent per-second counters:\n\n${counts(statistics.currentstatistics, rateRows)}`;
}
