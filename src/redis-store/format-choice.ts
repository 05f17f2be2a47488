/**
 * The format that calls are written in. A wrong one costs calls: rtpengine deletes the values of its database
 * that it cannot read (docs/migration.md). So it is chosen once, and said.
 */
import type { StoreLog } from './log.js';
import { findFormat } from './restore.js';
import type { SendCommand } from './send-command.js';
import type { CodecSettings, StoredFormat } from './schema.js';
import { serverName, type RedisServer } from './server-address.js';

/** A format, and what speaks for it: completes "Calls are stored in the format …, ". */
export interface FormatReason {
  readonly format: StoredFormat;
  readonly because: string;
}

/** Where a format may be known; null where it is not. */
export type FormatSource = () => Promise<FormatReason | null>;

const byDefault: FormatReason = {
  format: 'JSON',
  because:
    'that of the current rtpengine, since neither stored calls nor an installed one want another',
};

/** The format of the calls that a database holds. @throws what `send` throws. */
export async function formatIn(
  server: RedisServer,
  send: SendCommand,
  settings: CodecSettings,
): Promise<FormatReason | null> {
  const format = await findFormat(send, settings);
  if (format === null) return null;
  const because = `that of the calls in Redis ${serverName(server)}, database ${server.database}`;
  return { format, because };
}

export class FormatChoice {
  #format: StoredFormat | null = null;
  #said = false;

  constructor(
    /** auto: what the first source that knows one says. */
    private readonly configured: StoredFormat | 'auto',
    private readonly log: StoreLog,
  ) {
    if (configured !== 'auto') this.#format = configured;
  }

  /** null until it is known. */
  get format(): StoredFormat | null {
    return this.#format;
  }

  /** Asks the sources in turn unless the format is known. @throws what a source throws. */
  async find(sources: readonly FormatSource[]): Promise<void> {
    if (this.configured !== 'auto') {
      this.#say({ format: this.configured, because: 'as --redis-format says' });
      return;
    }
    if (this.#format !== null) return;
    let found: FormatReason | null = null;
    for (const source of sources) found ??= await source();
    found ??= byDefault;
    this.#format = found.format;
    this.#say(found);
  }

  #say({ format, because }: FormatReason): void {
    if (this.#said) return;
    this.#said = true;
    const how =
      this.configured === 'auto'
        ? '; --redis-format=JSON-10.5, JSON-12.5, JSON or bencode changes it'
        : '';
    this.log.notice(`Calls are stored in the format ${format}, ${because}${how}`);
  }
}
