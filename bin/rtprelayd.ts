#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ConfigSource, type Config } from '../src/config/config.js';
import { ConfigError } from '../src/config/errors.js';
import { monotonicMs, SteadyClock } from '../src/daemon/clocks.js';
import { Daemon } from '../src/daemon/daemon.js';
import {
  isBackgroundProcess,
  reportReady,
  startInBackground,
} from '../src/daemon/process/daemonize.js';
import { optimiseSooner, tuneEngine } from '../src/daemon/process/engine.js';
import { becomePair, wantsPair } from '../src/daemon/pair/launch.js';
import { PairMember } from '../src/daemon/pair/member.js';
import { complain, logNodeMessages, settle } from '../src/daemon/process/last-words.js';
import { removePidfile, writePidfile } from '../src/daemon/process/pidfile.js';
import { ServiceManager } from '../src/daemon/process/service-manager.js';
import { programVersion } from '../src/daemon/process/version.js';
import { nativeProcess } from '../src/native/process.js';
import { nativeServiceManager } from '../src/native/service-manager.js';
import {
  createLog,
  createSink,
  createWallClockMicros,
  logsToStderr,
} from '../src/observe/log-setup.js';

/** How long a slow reader of the log is waited for at the end. */
const patienceMs = 500;

async function run(config: Config, source: ConfigSource): Promise<void> {
  const background = isBackgroundProcess(process.env);
  if (!config.foreground && !background) {
    process.exitCode = await startInBackground({
      executable: process.execPath,
      args: [...process.execArgv, ...process.argv.slice(1)],
      env: process.env,
    });
    return;
  }
  tuneEngine(process.env);
  if (!background && wantsPair(config, process.env)) {
    const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
    const why = becomePair(command);
    complain(`No process pair, the daemon is alone: ${why}\n`);
  }
  const member = PairMember.of(process.env);
  // Whoever stands by has time.
  if (member?.standsBy === true) optimiseSooner(process.env);
  // The parent is the process that signals are for.
  const ownPid = member === null ? process.pid : process.ppid;
  const socketStore = member === null ? config.socketStore : 'yes';
  const serviceManager = new ServiceManager(
    process.env,
    process.pid,
    socketStore,
    nativeServiceManager,
  );
  const nowMicros = createWallClockMicros(Date.now, () => performance.now());
  const clock = new SteadyClock(Date.now, monotonicMs());
  const functions = nativeProcess();
  functions.ignoreSignals();
  functions.boundFreeMemory();
  const journalStream = process.env['JOURNAL_STREAM'];
  const logEnvironment = { nowMicros, functions, journalStream };
  const log = await createLog(config.log, logEnvironment);
  logNodeMessages(log);
  const version = programVersion();
  let stopping = false;
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    void daemon
      .stop()
      .catch((error: unknown) => {
        process.exitCode = 1;
        log.error('core', `Stopping: ${error instanceof Error ? error.message : String(error)}`);
      })
      .then(() => {
        if (config.pidfile !== null && member?.isActive !== false)
          removePidfile(config.pidfile, ownPid);
        return settle(log, patienceMs);
      })
      .finally(() => process.exit());
  };
  const onDrained = (): void => stop();
  const beforeReady = (goesOn: boolean): void => {
    if (config.pidfile === null) return;
    let problem: string | null;
    try {
      problem = writePidfile(config.pidfile, ownPid);
    } catch (error) {
      // The calls of the process before are worth more than the file.
      if (!goesOn || !(error instanceof ConfigError)) throw error;
      problem = error.message;
    }
    if (problem !== null) log.warning('core', problem);
  };
  const daemon = new Daemon({
    ...{ config, source, log, version, clock, onDrained, beforeReady, serviceManager, member },
    openLog: (wanted) => createSink(wanted, logEnvironment),
    hasStderr: () => !background || logsToStderr(config.log),
  });
  member?.onHandOver(() => {
    stopping = true;
    void daemon
      .handOver()
      .then(() => settle(log, patienceMs))
      .finally(() => process.exit());
  });
  member?.onAlone(() => {
    if (!member.isActive) process.exit(0);
    log.warning('core', 'The parent has ended: this process goes on, and none is ready after it');
  });
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.on('SIGHUP', () => void daemon.reload());
  process.on('SIGUSR1', () => {
    // rtpengine's meaning, unless the configuration has a drain.
    if (daemon.config.drainsOnSignal) daemon.drain();
    else log.shiftAllLevels(-1);
  });
  process.on('SIGUSR2', () => log.shiftAllLevels(1));
  await daemon.start();
  optimiseSooner(process.env);
  log.info('core', `Startup complete, version ${version}`);
  reportReady(logsToStderr(config.log));
}

async function main(): Promise<void> {
  const source = new ConfigSource(
    process.argv.slice(2),
    process.env,
    (path) => readFileSync(path, 'latin1'),
    { cores: availableParallelism() },
  );
  const invocation = source.load();
  if (invocation.kind === 'run') return run(invocation.config, source);
  const { checkText, codecsText, helpText, versionText } = await import('../src/config/help.js');
  if (invocation.kind === 'help') process.stdout.write(helpText());
  else if (invocation.kind === 'version') process.stderr.write(versionText(programVersion()));
  else if (invocation.kind === 'check') {
    process.stdout.write(checkText(invocation.report));
    if (invocation.report.wrong.length > 0) process.exitCode = 1;
  } else process.stdout.write(codecsText());
}

main().catch((error: unknown) => {
  const known = error instanceof ConfigError;
  const text = error instanceof Error ? error.message : String(error);
  // Most often it is the relay that this one is to replace.
  const hint = text.endsWith('EADDRINUSE')
    ? ': another program has the port; if it is rtpengine, rtprelay-switch puts this daemon in its place'
    : '';
  complain(`${known ? '' : 'Fatal error: '}${text}${hint}\n`);
  process.exit(1);
});
