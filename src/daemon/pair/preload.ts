/** Code that the daemon loads when it is asked for, loaded before there is no time for it. */
import type { Config } from '../../config/config.js';

/** What the daemon of this configuration will need when it is active. */
export async function preload({ control, media, redis }: Config): Promise<void> {
  const wanted: Promise<unknown>[] = [import('../open-exports.js')];
  const { listenCli, listenHttp, listenHttps, listenTcpNg, listenUnix } = control;
  if (listenCli.length > 0) wanted.push(import('../cli-target.js'), import('../cli/server.js'));
  if (listenTcpNg.length + listenUnix.length > 0)
    wanted.push(
      import('../control-listeners.js'),
      import('../../ng-protocol/transports/stream.js'),
    );
  if (listenHttp.length + listenHttps.length > 0) {
    wanted.push(import('../control-listeners.js'), import('../http/server.js'));
    wanted.push(import('../cli/run-line.js'), import('../../observe/metrics.js'));
  }
  if (media.kernelForward !== 'none') {
    wanted.push(import('../kernel.js'), import('../kernel-devices.js'));
    wanted.push(import('../../kernel-forward/kernel-relay.js'));
  }
  if ((redis?.keyspaces.length ?? 0) > 0)
    wanted.push(import('../../redis-store/keyspace-follower.js'));
  await Promise.all(wanted);
}
