/**
 * Debian packages for an isolated machine, which shares /usr with this one and has no network: what
 * installing does beyond that, taken from this machine, where scripts/bootstrap has installed them.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync } from 'node:fs';
import { systemdMissing, type IsolatedSystemd } from './systemd.js';

/** `apt-get install PACKAGE...` in the machine; its configuration files are new, its services start. */
const aptGet = `#!/bin/sh
[ "$1" = install ] || { echo "apt-get: only install, not $1" >&2; exit 100; }
shift
for package; do
  [ -e "/run/packages/$package.tar" ] || { echo "E: Unable to locate package $package" >&2; exit 100; }
  [ -e "/var/lib/installed/$package" ] && continue
  tar -xf "/run/packages/$package.tar" -C / && mkdir -p /var/lib/installed && touch "/var/lib/installed/$package"
  systemctl daemon-reload
  while read -r unit; do
    systemctl enable --quiet "$unit"
    # As Debian: a service that cannot start yet is no error.
    systemctl start "$unit" 2>/dev/null || systemctl reset-failed "$unit"
  done <"/run/packages/$package.services"
done
`;

/** Folders that no package holds: its scripts make them. */
const madeByInstalling: Readonly<Record<string, readonly string[]>> = {
  'redis-server': ['/var/lib/redis', '/var/log/redis'],
  'redis-sentinel': ['/var/lib/redis', '/var/log/redis'],
  pacemaker: ['blackbox', 'cib', 'cores', 'pengine', ''].map(
    (name) => `/var/lib/pacemaker/${name}`,
  ),
};

function filesOf(name: string): readonly string[] {
  const listed = execFileSync('dpkg', ['-L', name], { encoding: 'utf8' }).split('\n');
  return [...listed, ...(madeByInstalling[name] ?? [])].filter(
    (path) => /^\/(etc|var)\/./.test(path) && existsSync(path),
  );
}

/** Services that Debian starts when it has installed the package. */
function servicesOf(name: string): readonly string[] {
  const listed = execFileSync('dpkg', ['-L', name], { encoding: 'utf8' }).split('\n');
  return listed.flatMap((path) => {
    const unit = /^\/(?:usr\/)?lib\/systemd\/system\/([^@/]+\.service)$/.exec(path)?.[1];
    return unit === undefined || lstatSync(path).isSymbolicLink() ? [] : [unit];
  });
}

/** true when this machine has the package. */
function hasPackage(name: string): boolean {
  try {
    return execFileSync('dpkg-query', ['-W', '-f', '${db:Status-Status}', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).includes('installed');
  } catch {
    return false;
  }
}

/** Why a machine with these packages cannot be had here; null when it can. */
export function obstacleToFollowing(packages: readonly string[]): string | null {
  const absent = packages.filter((name) => !hasPackage(name));
  return absent.length > 0 ? `not installed: ${absent.join(' ')}` : systemdMissing();
}

/** Makes `apt-get install` of these packages work in the machine. */
export function offerPackages(machine: IsolatedSystemd, names: readonly string[]): void {
  machine.write('/usr/bin/apt-get', aptGet);
  machine.succeed('chmod', '755', '/usr/bin/apt-get');
  for (const name of names) {
    // Folders as they are, not what has come into them since.
    const words = ['--create', '--no-recursion', '--file=-', '--absolute-names', ...filesOf(name)];
    machine.writeBytes(`/run/packages/${name}.tar`, execFileSync('tar', words));
    machine.write(`/run/packages/${name}.services`, servicesOf(name).join('\n').concat('\n'));
  }
}
