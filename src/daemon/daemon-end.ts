/** The two ends of a daemon: it stops, or leaves its calls to another process. */
import type { DaemonParts } from './daemon-parts.js';

/**
 * Leaves the calls to the process that stands by: from the moment on in which `serviceManager` is told,
 * nothing is read, sent or written here.
 */
export async function handOver(parts: DaemonParts): Promise<void> {
  const { log, serviceManager } = parts.environment;
  await parts.settled;
  log.notice('core', 'Handing over to another process');
  parts.isEnding = true;
  if (parts.timer !== null) clearInterval(parts.timer);
  parts.ngPort?.close();
  parts.pair?.prepareToLeave();
  parts.innerRelay?.pause();
  parts.pair?.leave();
  parts.keyspaces?.close();
  parts.redisStore?.abandon();
  // The next one locks it.
  parts.steered?.close(true);
  serviceManager.handedOver();
  parts.innerRelay?.paused();
  parts.kernelDevices?.close();
  parts.kernelRelay?.leave();
  parts.held?.close();
  parts.exports?.close();
  parts.digits.close();
  await parts.operatorPorts?.close(true);
  parts.innerRelay?.close();
}

/** Orderly stop: every socket is closed; stored calls stay where they are. */
export async function stop(parts: DaemonParts): Promise<void> {
  const { log, version, serviceManager, member } = parts.environment;
  log.info('core', `Version ${version} shutting down`);
  serviceManager.stopping();
  parts.isEnding = true;
  parts.pair?.mirror.close();
  if (parts.timer !== null) clearInterval(parts.timer);
  parts.rehearsal?.stop();
  parts.ngPort?.close();
  parts.exports?.close();
  parts.digits.close();
  await parts.operatorPorts?.close();
  parts.keyspaces?.close();
  await parts.store.close();
  parts.kernelDevices?.close();
  parts.held?.close();
  parts.relay?.close();
  // The parent of a pair ends, too, and with it the sockets.
  parts.steered?.close(serviceManager.keepsSockets && member === null);
}
