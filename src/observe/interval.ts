/** What has happened since the last report: the statistics behind Graphite and `intervalstatistics`. */

export interface CommandInterval {
  /** Seconds a command took; all 0 without a command. */
  readonly minSeconds: number;
  readonly maxSeconds: number;
  readonly avgSeconds: number;
  /** Commands in a second: of the seconds in which there was one, and over the whole interval. */
  readonly minRate: number;
  readonly maxRate: number;
  readonly avgRate: number;
}

export interface IntervalReport {
  readonly commands: ReadonlyMap<string, CommandInterval>;
  readonly minSessions: number;
  readonly maxSessions: number;
  /** Seconds that all calls have lived in the interval. */
  readonly callSeconds: number;
  /** Mean duration of the calls that ended in it, s. */
  readonly averageDuration: number;
}

interface Sums {
  count: number;
  seconds: number;
  min: number;
  max: number;
  thisSecond: number;
  minRate: number;
  maxRate: number;
}

export const noCommands: CommandInterval = {
  ...{ minSeconds: 0, maxSeconds: 0, avgSeconds: 0, minRate: 0, maxRate: 0, avgRate: 0 },
};

/** Thread: control. Memory is that of the commands' names, which are known ones. */
export class IntervalStatistics {
  #commands = new Map<string, Sums>();
  #startedMicros: number;
  #sessions = 0;
  #minSessions: number | null = null;
  #maxSessions = 0;
  #endedSeconds = 0;
  /** Calls that live, and by how much those of them that began within the interval are younger than it, µs. */
  #living = 0;
  #younger = 0;
  #ended = { count: 0, seconds: 0 };
  /** What was reported last; null: nothing yet. */
  last: IntervalReport | null = null;

  constructor(startedMicros: number) {
    this.#startedMicros = startedMicros;
  }

  commandDone(command: string, seconds: number): void {
    let sums = this.#commands.get(command);
    if (sums === undefined) {
      sums = {
        count: 0,
        seconds: 0,
        min: Infinity,
        max: 0,
        thisSecond: 0,
        minRate: Infinity,
        maxRate: 0,
      };
      this.#commands.set(command, sums);
    }
    sums.count += 1;
    sums.thisSecond += 1;
    sums.seconds += seconds;
    sums.min = Math.min(sums.min, seconds);
    sums.max = Math.max(sums.max, seconds);
  }

  sessionsNow(count: number): void {
    this.#sessions = count;
    this.#minSessions = Math.min(this.#minSessions ?? count, count);
    this.#maxSessions = Math.max(this.#maxSessions, count);
  }

  /** A call has come (1) or is gone (-1). @param createdMicros when it began. */
  callLives(createdMicros: number, by: 1 | -1): void {
    this.#living += by;
    this.#younger += by * Math.max(0, createdMicros - this.#startedMicros);
  }

  callClosed(durationSeconds: number, nowMicros: number): void {
    this.#ended.count += 1;
    this.#ended.seconds += durationSeconds;
    this.#endedSeconds += Math.min(durationSeconds, (nowMicros - this.#startedMicros) / 1e6);
  }

  /** A second has passed. */
  everySecond(): void {
    for (const sums of this.#commands.values()) {
      if (sums.thisSecond === 0) continue;
      sums.minRate = Math.min(sums.minRate, sums.thisSecond);
      sums.maxRate = Math.max(sums.maxRate, sums.thisSecond);
      sums.thisSecond = 0;
    }
  }

  take(nowMicros: number): IntervalReport {
    const elapsed = nowMicros - this.#startedMicros;
    const seconds = Math.max(1, Math.round(elapsed / 1e6));
    const living = Math.max(0, this.#living * elapsed - this.#younger) / 1e6;
    const report: IntervalReport = {
      commands: new Map(
        [...this.#commands].map(([name, sums]) => [name, intervalOf(sums, seconds)]),
      ),
      minSessions: this.#minSessions ?? this.#sessions,
      maxSessions: Math.max(this.#maxSessions, this.#sessions),
      callSeconds: living + this.#endedSeconds,
      averageDuration: this.#ended.count === 0 ? 0 : this.#ended.seconds / this.#ended.count,
    };
    this.#commands = new Map();
    this.#startedMicros = nowMicros;
    this.#minSessions = this.#sessions;
    this.#maxSessions = this.#sessions;
    this.#endedSeconds = 0;
    this.#younger = 0;
    this.#ended = { count: 0, seconds: 0 };
    this.last = report;
    return report;
  }
}

function intervalOf(sums: Sums, seconds: number): CommandInterval {
  return {
    minSeconds: sums.min,
    maxSeconds: sums.max,
    avgSeconds: sums.seconds / sums.count,
    minRate: Number.isFinite(sums.minRate) ? sums.minRate : 0,
    maxRate: sums.maxRate,
    avgRate: Math.floor(sums.count / seconds),
  };
}
