/** What `rtprelayctl --help` lists, and which answers are failures. */

/** Options of rtprelayctl itself: name, value, meaning. */
export const controlOptions = [
  ['ip', 'ipaddress[:port]', "the daemon's CLI address"],
  ['port', 'port', 'and its port'],
  ['timeout', 'seconds', 'how long to wait for the answer, default 5'],
  ['config-file', 'file', 'read listen-cli from this file, none: from no file'],
  ['config-section', 'name', 'and from this section of it, default rtpengine'],
] as const;

/** Commands with what they do. docs/cli.md says more. */
export const commandUsage: readonly (readonly [command: string, meaning: string])[] = [
  ['help', 'the commands of the daemon; also behind list, set and params'],
  ['status [--json]', 'how the node is: restore, drain, reload, Redis, addresses, takeovers'],
  ['list numsessions', 'calls: own, foreign, total'],
  ['list sessions all|own|foreign', 'one line a call'],
  ['list sessions CALLID', 'one call in full'],
  ['list totals|counters|jsonstats', 'statistics'],
  ['list interfaces', 'ports of each address'],
  ['list transcoders', 'always empty'],
  ['list loglevels', 'log subsystems'],
  ['list loglevel [SUBSYSTEM]', 'log levels'],
  ['list SETTING', 'maxsessions maxopenfiles maxcpu maxload maxbw timeout silenttimeout'],
  ['', 'offertimeout finaltimeout redisallowederrors redisdisabletime'],
  ['', 'redisconnecttimeout rediscmdtimeout controltos deletedelay'],
  ['interface add [NAME/]ADDR[!ADVERTISED]', 'one more media address until the daemon ends'],
  ['interface del NAME', 'removes an interface that no call uses'],
  ['get ...', 'the same as list'],
  ['set SETTING NUMBER', 'changes one of these'],
  ['set loglevel [SUBSYSTEM] LEVEL', 'log level, 0 to 7'],
  ['set redisdisable 0|1', 'writes calls to Redis again, or no longer'],
  ['params start|current|diff|revert', 'parameters as configured, as they are, what differs; back'],
  ['reload', 'reads the configuration again, as SIGHUP'],
  ['terminate CALLID|all|own|foreign', 'ends calls'],
  ['call CALLID info|terminate|debug on|off', 'one call'],
  ['call CALLID tag TAG info', 'one participant'],
  ['explain CALLID [--json]', 'why there is no audio, and what to do'],
  ['log CALLID', 'the last lines of the log that are its'],
  ['capture CALLID FILE [--seconds=N]', 'its packets and NG messages as pcapng; default 10 s'],
  ['', '--decrypt: SRTP as the RTP in it, where capture-decrypt permits it'],
  ['srtpkeys CALLID', 'the keys of its SRTP as JSON, where capture-decrypt permits it'],
  ['top [--once] [--json] [--interval=S]', 'calls and streams by rate, loss and jitter; q ends it'],
  ['streams', 'all streams with their counters, as JSON'],
  ['debug CALLID on|off', 'debug lines for one call'],
  ['ksadd|ksrm DATABASE', 'follows the calls of a Redis database, or no longer'],
  ['kslist', 'databases that are followed'],
  ['active | standby', 'makes all calls own, or foreign'],
  ['drain [SECONDS] | drain off', 'refuses new calls and ends after the last one'],
  ['upgrade', 'a process pair goes over to what is installed now'],
  ['kernel', 'kernel forwarding'],
  ['replay', 'replay at takeover: what is heard of the other node, what was sent in its place'],
];

type Usage = (typeof commandUsage)[number];
const usageLine = ([command, meaning]: Usage): string => `    ${command.padEnd(42)}${meaning}\n`;

/** All commands, or those that begin with a word, as lines; '': there is none. */
export function usageLines(word: string | null = null): string {
  let wanted = false;
  const chosen = commandUsage.filter(([command]) => {
    // A line without a command goes on with the one before.
    if (command !== '') wanted = word === null || command.split(/[ |]+/).includes(word);
    return wanted;
  });
  return chosen.map(usageLine).join('');
}

const failures =
  /^\n?(Unknown or incomplete command|No lines of the log |Unknown log subsystem|More parameters required|Fail |Error: |Invalid |No such |SRTP keys are not told|No call ID |Call I[Dd] .*not found|Configuration not read again|Keyspace \d+ is |No redis write to )/;

/** Does the daemon's answer say that it did not do what it was asked? */
export function isFailure(answer: string): boolean {
  return failures.test(answer);
}
