/** Limits that stop new calls: sessions, load, CPU, bandwidth, tested in this order. */
import type { LimitConfig } from '../config/config.js';

export interface LoadRefusal {
  /** For `message` of a `load limit` reply. */
  readonly message: string;
  readonly logText: string;
  /** As rtpengine's: what the machine cannot do is a warning. */
  readonly logLevel: 'error' | 'warning';
}

/** What the machine and the relay do right now. */
export interface MachineLoad {
  /** One-minute load average. */
  readonly load: number;
  /** Busy share of all cores, in percent. */
  readonly cpuPercent: number;
  /** Relayed bytes per second. */
  readonly bandwidth: number;
}

export class LoadGuard {
  #current: MachineLoad = { load: 0, cpuPercent: 0, bandwidth: 0 };

  constructor(private readonly limits: LimitConfig) {}

  /** To be called about once a second. */
  measure(current: MachineLoad): void {
    this.#current = current;
  }

  /** Why a new call is refused; null when it may come. */
  refusal(sessions: number): LoadRefusal | null {
    const { maxSessions, maxLoad, maxCpuPercent, maxBandwidthBytesPerSecond } = this.limits;
    const { load, cpuPercent, bandwidth } = this.#current;
    if (maxSessions >= 0 && sessions >= maxSessions) {
      return {
        message: 'Parallel session limit reached',
        logText: `Parallel session limit reached (${maxSessions})`,
        logLevel: 'error',
      };
    }
    if (maxLoad > 0 && load >= maxLoad) {
      return {
        message: 'Load limit exceeded',
        logText: `Load limit exceeded (${load.toFixed(2)} > ${maxLoad.toFixed(2)})`,
        logLevel: 'warning',
      };
    }
    if (maxCpuPercent > 0 && cpuPercent >= maxCpuPercent) {
      return {
        message: 'CPU usage limit exceeded',
        logText: `CPU usage limit exceeded (${cpuPercent.toFixed(1)}% > ${maxCpuPercent.toFixed(1)}%)`,
        logLevel: 'warning',
      };
    }
    if (maxBandwidthBytesPerSecond > 0 && bandwidth >= maxBandwidthBytesPerSecond) {
      return {
        message: 'Bandwidth limit exceeded',
        logText: `Bandwidth limit exceeded (${bandwidth} > ${maxBandwidthBytesPerSecond})`,
        logLevel: 'warning',
      };
    }
    return null;
  }
}
