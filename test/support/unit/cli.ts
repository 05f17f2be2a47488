/** A daemon made of plain values. */
import { logSubsystems, type LogSubsystem } from '../../../src/config/subsystems.js';
import { runCommand } from '../../../src/daemon/cli/commands.js';
import type { CaptureAnswer } from '../../../src/daemon/cli/capture-file.js';
import type { RecentLine } from '../../../src/observe/recent-lines.js';
import type { NodeStatus } from '../../../src/daemon/node-status.js';
import type {
  CliCall,
  CliSetting,
  CliStatistics,
  CliTarget,
} from '../../../src/daemon/cli/target.js';

const startSettings: Readonly<Record<CliSetting, number>> = {
  maxsessions: -1,
  maxopenfiles: 20000,
  maxcpu: 0,
  maxload: 0,
  maxbw: 0,
  timeout: 60,
  silenttimeout: 3600,
  offertimeout: 3600,
  finaltimeout: 0,
  redisallowederrors: -1,
  redisdisabletime: 10,
  redisconnecttimeout: 1000,
  rediscmdtimeout: 0,
  controltos: 0,
  deletedelay: 30,
};

/** The call of rtpengine's observed output. */
export const observedCall: CliCall = {
  callId: 'mosx',
  deletionScheduled: false,
  createdSeconds: 1795401470,
  createdFrom: '127.0.0.1:44293',
  redisDatabase: 0,
  foreign: false,
  tos: 0,
  lastSignalSeconds: 1795401470,
  participants: [
    {
      tag: 'a',
      role: 'FROM_TAG',
      label: 'A',
      viaBranch: '',
      durationSeconds: 4.066892,
      subscribedTo: ['b'],
      subscribers: ['b'],
      medias: [
        {
          index: 1,
          type: 'audio',
          protocol: 'RTP/AVP',
          codec: 'PCMU/8000',
          ports: [
            {
              local: { address: '127.0.0.1', port: 42020 },
              remote: { address: '127.0.0.1', port: 24000 },
              rtcp: false,
              ssrc: 0x1111,
              packets: 150,
              bytes: 25800,
              errors: 0,
              lastPacketSeconds: 1795401473,
            },
            {
              local: { address: '127.0.0.1', port: 42021 },
              remote: null,
              rtcp: true,
              ssrc: null,
              packets: 0,
              bytes: 0,
              errors: 0,
              lastPacketSeconds: 1795401473,
            },
          ],
        },
      ],
    },
  ],
};

const someStatistics: CliStatistics = {
  currentstatistics: {
    sessionsown: 1,
    sessionsforeign: 0,
    sessionstotal: 1,
    transcodedmedia: 0,
    packetrate_user: 91,
    byterate_user: 15248,
    errorrate_user: 0,
    packetrate_kernel: 0,
    byterate_kernel: 0,
    errorrate_kernel: 0,
    packetrate: 91,
    byterate: 15248,
    errorrate: 0,
    media_userspace: 2,
    media_kernel: 0,
    media_mixed: 0,
  },
  totalstatistics: {
    uptime: 6,
    managedsessions: 2,
    forcedterminatedsessions: 2,
    avgcallduration: 0.050309,
    totalcallsduration_stddev: 0.005567,
  },
  intervalstatistics: {
    minpingdelay: 0.1,
    maxpingdelay: 0.3,
    avgpingdelay: 0.2,
    minpingrequestrate: 1,
  },
  mos: { mos_total: 21.5, mos_samples_total: 5 },
  controlstatistics: {
    proxies: [{ proxy: '127.0.0.1', pingcount: 0, offercount: 2 }],
    totaloffercount: 2,
  },
  interfaces: [],
  transcoders: [],
};

export class FakeTarget implements CliTarget {
  calls: CliCall[] = [];
  readonly debugged: string[] = [];
  redisOn = true;
  readonly settings = { ...startSettings };
  readonly levels = new Map<LogSubsystem, number>(
    logSubsystems.map(([name]) => [name, name === 'internals' ? -1 : 6]),
  );

  sessionCounts(): ReturnType<CliTarget['sessionCounts']> {
    const foreign = this.calls.filter((call) => call.foreign).length;
    const own = this.calls.length - foreign;
    return { own, foreign, transcodedMedia: 0, ipv4Only: own, ipv6Only: 0, mixed: 0 };
  }
  addInterface(): Promise<string | null> {
    return Promise.resolve(null);
  }
  removeInterface(): string | null {
    return null;
  }
  streams(): ReturnType<CliTarget['streams']> {
    return { atMicros: 1, calls: [] };
  }
  explain(callId: string): ReturnType<CliTarget['explain']> {
    if (this.call(callId) === null) return null;
    return { callId, summary: 'Media flows in all directions.', findings: [], directions: [] };
  }
  sessions(): Iterable<CliCall> {
    return this.calls;
  }
  call(callId: string): CliCall | null {
    return this.calls.find((call) => call.callId === callId) ?? null;
  }
  interfaces(): ReturnType<CliTarget['interfaces']> {
    return [
      {
        name: 'lo',
        address: '127.0.0.1',
        portMin: 42000,
        portMax: 42999,
        portsUsed: 4,
        lastPort: 42022,
      },
    ];
  }
  statistics(): CliStatistics {
    return someStatistics;
  }
  setting(name: CliSetting): number {
    return this.settings[name];
  }
  changeSetting(name: CliSetting, value: number): string | null {
    if (name === 'maxopenfiles' && value > 100_000) return 'not permitted';
    this.settings[name] = value;
    return null;
  }
  switchRedis(on: boolean): boolean {
    const changes = this.redisOn !== on;
    this.redisOn = on;
    return changes;
  }
  logLevel(subsystem: LogSubsystem): number {
    return this.levels.get(subsystem) ?? 0;
  }
  setLogLevel(subsystem: LogSubsystem, level: number): void {
    this.levels.set(subsystem, level);
  }
  setCallDebug(callId: string, on: boolean): boolean {
    if (this.call(callId) === null) return false;
    this.debugged.push(`${callId} ${on ? 'on' : 'off'}`);
    return true;
  }
  terminateCall(callId: string): boolean {
    const before = this.calls.length;
    this.calls = this.calls.filter((call) => call.callId !== callId);
    return this.calls.length < before;
  }
  terminateCalls(which: 'all' | 'own' | 'foreign'): Promise<void> {
    this.calls = this.calls.filter(
      (call) => which !== 'all' && call.foreign !== (which === 'foreign'),
    );
    return Promise.resolve();
  }
  readonly asked: string[] = [];
  readonly followed: number[] = [];
  keyspaces(): readonly number[] {
    return this.followed;
  }
  follow(database: number): boolean {
    if (this.followed.includes(database)) return false;
    this.followed.push(database);
    return true;
  }
  unfollow(database: number): Promise<boolean> {
    const at = this.followed.indexOf(database);
    if (at >= 0) this.followed.splice(at, 1);
    return Promise.resolve(at >= 0);
  }
  recentLines(callId: string): readonly RecentLine[] {
    if (callId !== 'mosx') return [];
    const what = { level: 6, subsystem: 'core', message: 'Received command', port: null } as const;
    return [{ atMicros: 1.5e15, callId, ...what }];
  }

  srtpKeys(callId: string): string | null {
    return this.capture(callId) === null ? null : 'the option capture-decrypt permits it';
  }

  capture(callId: string): CaptureAnswer | null {
    if (callId !== 'mosx') return null;
    return { callId, ports: [], ng: { address: '127.0.0.1', port: 2223 }, exchanges: [] };
  }

  replay(): ReturnType<CliTarget['replay']> {
    return null;
  }

  status(): NodeStatus {
    return {
      ...{ version: '1', uptimeSeconds: 61, own: 2, foreign: 1, restore: null, drain: null },
      ...{ reload: null, store: 'none', standby: [], addresses: [], kernel: null },
      ...{ takeovers: 0, takenOver: 0 },
    };
  }

  kernel(): Promise<null> {
    return Promise.resolve(null);
  }

  drain(timeoutSeconds: number | null): void {
    this.asked.push(`drain ${timeoutSeconds ?? 'default'}`);
  }

  upgrade(): boolean {
    this.asked.push('upgrade');
    return true;
  }

  cancelDrain(): boolean {
    this.asked.push('cancel drain');
    return true;
  }

  makeAll(ownership: 'own' | 'foreign'): Promise<void> {
    this.calls = this.calls.map((call) => ({ ...call, foreign: ownership === 'foreign' }));
    return Promise.resolve();
  }
  parameters(when: 'start' | 'configured' | 'current'): ReturnType<CliTarget['parameters']> {
    const settings = when === 'current' ? this.settings : startSettings;
    return [
      ['table', '-1'],
      ['timeout', String(settings.timeout)],
      ['max-sessions', String(settings.maxsessions)],
    ];
  }
  processId(): number {
    return 4711;
  }

  reload(): Promise<readonly string[]> {
    return Promise.resolve(['Configuration read again: nothing has changed']);
  }

  revertParameters(): void {
    Object.assign(this.settings, startSettings);
  }
}

/** The whole text that a command answers. */
export async function answerTo(target: CliTarget, line: string): Promise<string> {
  const text = await runCommand(target, line);
  return typeof text === 'string' ? text : text.join('');
}
