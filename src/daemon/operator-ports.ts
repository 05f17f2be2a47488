/** CLI, and NG over TCP, Unix sockets, HTTP and WebSocket. What is not asked for is not loaded. */
import type { ControlConfig } from '../config/config.js';
import { ConfigError } from '../config/errors.js';
import type { NgEndpoint } from '../ng-protocol/endpoint.js';
import type { Log } from '../observe/log.js';
import type { CliTargetParts } from './cli-target.js';
import type { CloseListeners } from './control-listeners.js';
import type { CliTarget } from './cli/target.js';
import type { HttpService, LivePage } from './http/service.js';
import type { LiveSource } from './live/viewers.js';
import { thisMachine } from './machine.js';
import { resolveListener } from './process/local-addresses.js';

export interface OperatorPortsOptions {
  readonly control: ControlConfig;
  readonly log: Log;
  /** What the operator's commands act on, by whichever way they come. */
  readonly target: CliTargetParts;
  /** The text of `/metrics`. */
  readonly metrics: () => Promise<() => Promise<string>>;
  /** Why no new calls are wanted; null: they are. */
  readonly notReady: () => string | null;
  readonly ng: NgEndpoint;
  /** Whether messages from an address are read. */
  readonly allowed: (address: string) => boolean;
  readonly onNotice: (message: string) => void;
  /** What the live page shows. */
  readonly live: () => LiveSource;
}

/** Thread: control. Owns its listeners until `close`. */
export class OperatorPorts {
  readonly #options: OperatorPortsOptions;
  #target: CliTarget | null = null;
  #closeCli: (() => Promise<void>) | null = null;
  #closeListeners: CloseListeners | null = null;
  #tellTcp: (message: Buffer) => void = () => undefined;

  constructor(options: OperatorPortsOptions) {
    this.#options = options;
  }

  /** All or none. @throws Error naming what cannot be opened. */
  async open(): Promise<void> {
    try {
      await this.#openCli();
      await this.#openListeners();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Runs a line of the operator's: the bytes of its text. */
  async run(line: string): Promise<Buffer> {
    const { runLine } = await import('./cli/run-line.js');
    return runLine(await this.#cliTarget(), line, this.#report);
  }

  /** Sends NG clients that are connected by TCP a message that they have not asked for. */
  tellTcp(message: Buffer): void {
    this.#tellTcp(message);
  }

  async close(leaves = false): Promise<void> {
    await this.#closeListeners?.(leaves);
    await this.#closeCli?.();
    [this.#closeListeners, this.#closeCli] = [null, null];
  }

  async #cliTarget(): Promise<CliTarget> {
    const { DaemonCliTarget } = await import('./cli-target.js');
    this.#target ??= new DaemonCliTarget(this.#options.target);
    return this.#target;
  }

  get #report(): { onLine: (line: string) => void; onError: (line: string) => void } {
    const { log } = this.#options;
    return {
      onLine: (line) => log.info('control', line),
      onError: (line) => log.error('control', line),
    };
  }

  async #openCli(): Promise<void> {
    const { control } = this.#options;
    if (control.listenCli.length === 0) return;
    const { CliServer } = await import('./cli/server.js');
    const server = new CliServer({ target: await this.#cliTarget(), ...this.#report });
    this.#closeCli = () => server.close();
    const machine = thisMachine();
    for (const address of control.listenCli) {
      for (const endpoint of await resolveListener(address, machine, 'listen-cli')) {
        await server.listen(endpoint);
      }
    }
  }

  async #openListeners(): Promise<void> {
    const { control, ng, allowed, onNotice } = this.#options;
    const wantsHttp = control.listenHttp.length + control.listenHttps.length > 0;
    if (!wantsHttp && control.listenTcpNg.length + control.listenUnix.length === 0) return;
    const { openControlListeners } = await import('./control-listeners.js');
    const machine = thisMachine();
    this.#closeListeners = await openControlListeners({
      ...{ control, ng, allowed, onNotice },
      resolve: (address, option) => resolveListener(address, machine, option),
      onTcp: (tell) => (this.#tellTcp = tell),
      http: await this.#httpService(),
    });
  }

  /** @throws ConfigError: its files are not there. */
  async #livePage(): Promise<LivePage | null> {
    if (!this.#options.control.livePage) return null;
    const { liveAssets } = await import('./live/assets.js');
    const { Viewers } = await import('./live/viewers.js');
    try {
      return { assets: liveAssets(), viewers: new Viewers(this.#options.live()) };
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigError('bad-value', 'live-page', `--live-page: ${why}`, { cause });
    }
  }

  async #httpService(): Promise<Pick<HttpService, 'cli' | 'metrics' | 'notReady' | 'live'>> {
    // Loaded now: a program that is not there any more could not be read later.
    await Promise.all([this.#cliTarget(), import('./cli/run-line.js')]);
    return {
      cli: (line) => this.run(line),
      metrics: await this.#options.metrics(),
      notReady: this.#options.notReady,
      live: await this.#livePage(),
    };
  }
}
