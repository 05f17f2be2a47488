/**
 * What AppArmor's profile would deny of what strace has seen, for machines whose kernel has no AppArmor. Read as
 * apparmor.d(5) says: paths are those that links lead to; what is looked up and not there is not asked about.
 */
import type { IsolatedSystemd } from './systemd.js';

/** What `apparmor_parser --preprocess` makes of a profile: no includes are left in it. */
export class AppArmorProfile {
  readonly #variables = new Map<string, readonly string[]>();
  readonly #files: { readonly path: RegExp; readonly permissions: string }[] = [];
  readonly #networks: string[] = [];
  readonly capabilities = new Set<string>();

  constructor(preprocessed: string) {
    const lines = preprocessed.split('\n').map((line) => line.replace(/(^|\s)#.*/, '').trim());
    for (const line of lines) {
      const [, name, more, values] = /^(@\{\w+\})\s*(\+?=)\s*(.*)$/.exec(line) ?? [];
      if (name === undefined || values === undefined) continue;
      const before = more === '+=' ? (this.#variables.get(name) ?? []) : [];
      this.#variables.set(name, [...before, ...values.split(/\s+/).filter((each) => each !== '')]);
    }
    for (const line of lines) {
      const rule = /^(?:owner\s+)?(?:"([^"]+)"|([/@{]\S*))\s+([rwakmlixuUpPcC]+)\s*,$/.exec(line);
      const path = rule?.[1] ?? rule?.[2];
      if (path !== undefined) {
        this.#files.push({ path: this.#pattern(path), permissions: rule?.[3] ?? '' });
      }
      const [, network] = /^network\s*(.*?)\s*,$/.exec(line) ?? [];
      if (network !== undefined) this.#networks.push(network);
      const [, capability] = /^capability\s+(\w+)\s*,$/.exec(line) ?? [];
      if (capability !== undefined) this.capabilities.add(capability);
    }
  }

  /** Empty: nothing of the kind was in the text. */
  get size(): number {
    return this.#files.length;
  }

  #pattern(path: string): RegExp {
    const text = this.#globbed(path).replace(/\/{2,}/g, '/');
    return new RegExp(`^${text}$`);
  }

  #globbed(glob: string): string {
    let text = '';
    for (let at = 0; at < glob.length;) {
      const rest = glob.slice(at);
      const variable = /^@\{\w+\}/.exec(rest)?.[0];
      if (variable !== undefined) {
        const values = this.#variables.get(variable);
        if (values === undefined) throw new Error(`${variable} of the profile is not known`);
        text += `(?:${values.map((value) => this.#globbed(value)).join('|')})`;
        at += variable.length;
        continue;
      }
      // Behind a slash they are at least one character.
      const many = /^\*+/.exec(rest)?.[0];
      const set = /^\[[^\]]+\]/.exec(rest)?.[0];
      if (many !== undefined) {
        const least = glob[at - 1] === '/' ? '+' : '*';
        text += (many.length > 1 ? '.' : '[^/]') + least;
        at += many.length;
      } else if (set !== undefined) {
        text += set;
        at += set.length;
      } else {
        const character = rest[0] ?? '';
        const special: Readonly<Record<string, string>> = {
          ...{ '{': '(?:', '}': ')', ',': '|', '?': '[^/]' },
        };
        text += special[character] ?? character.replace(/[.+^$()|\\\]]/, '\\$&');
        at += 1;
      }
    }
    // A variable that ends with a slash, before one.
    return text.replaceAll('/)/', '/)');
  }

  /** The letters of all rules for a path. */
  permissions(path: string): string {
    return this.#files
      .filter((rule) => rule.path.test(path))
      .map(({ permissions }) => permissions)
      .join('');
  }

  allows(path: string, wanted: string): boolean {
    const given = this.permissions(path);
    return [...wanted].every((letter) => given.includes(letter));
  }

  allowsSocket(family: string, type: string): boolean {
    return this.#networks.some((rule) =>
      ['', family, `${family} ${type}`, type].includes(rule.replace(/\s+/g, ' ')),
    );
  }
}

/** What strace has to write for `denials`: `-f -y -qq`, and these calls. */
export const traceOptions = [
  ...['-f', '-y', '-qq', '-s', '200', '-e'],
  'trace=openat,execve,unlink,unlinkat,mkdir,mkdirat,rmdir,rename,renameat2,link,symlink,chmod,socket,connect,bind,sendmsg,mmap,flock',
] as const;

const kinds: Readonly<Record<string, string>> = {
  ...{ AF_INET: 'inet', AF_INET6: 'inet6', AF_UNIX: 'unix', AF_NETLINK: 'netlink' },
  ...{ AF_PACKET: 'packet', SOCK_STREAM: 'stream', SOCK_DGRAM: 'dgram', SOCK_RAW: 'raw' },
  SOCK_SEQPACKET: 'seqpacket',
};

/** Calls with their results, one a line, those of threads that were interrupted put together. */
function* callsOf(trace: string): Generator<readonly [pid: string, call: string]> {
  const begun = new Map<string, string>();
  for (const line of trace.split('\n')) {
    const [, pid = '', text = ''] = /^(?:\[pid\s+)?(\d+)\]?\s+(.*)$/.exec(line) ?? [];
    const [, start] = /^(.*?)\s*<unfinished \.\.\.>$/.exec(text) ?? [];
    const [, end] = /^<\.\.\. \w+ resumed>(.*)$/.exec(text) ?? [];
    if (start !== undefined) begun.set(pid, start);
    else if (end !== undefined) {
      yield [pid, (begun.get(pid) ?? '') + end];
      begun.delete(pid);
    } else if (text !== '') yield [pid, text];
  }
}

/**
 * @param trace of strace with `traceOptions`, from the start of the confined program on.
 * @param resolve where a path leads to.
 * @returns what the profile has no rule for, each thing once: `r /path`.
 */
export function denials(
  profile: AppArmorProfile,
  trace: string,
  resolve: (path: string) => string,
): readonly string[] {
  const denied = new Set<string>();
  const unconfined = new Set<string>();
  let started = false;
  const need = (path: string, wanted: string): void => {
    if (path.startsWith('/') && !path.startsWith('/memfd:') && !profile.allows(path, wanted)) {
      denied.add(`${wanted} ${path}`);
    }
  };
  for (const [pid, call] of callsOf(trace)) {
    const [, name = '', words = '', result = ''] = /^(\w+)\((.*)\)\s+=\s+(.*)$/.exec(call) ?? [];
    if (name === '' || unconfined.has(pid)) continue;
    if (/^-1 /.test(result) && !/EINPROGRESS|EAGAIN/.test(result)) continue;
    const quoted = [...words.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, path = '']) => path);
    if (name === 'execve') {
      const path = resolve(quoted[0] ?? '');
      // By the first one it is confined.
      if (!started) started = true;
      else if (/[uU]x/.test(profile.permissions(path))) unconfined.add(pid);
      // The kernel maps the program, too.
      else need(path, 'mrix');
    } else if (name === 'openat') {
      const [, path = ''] = /<(.*)>$/.exec(result) ?? [];
      const folder = /O_DIRECTORY/.test(words) && !path.endsWith('/') ? '/' : '';
      if (/O_PATH/.test(words) || /\(deleted\)/.test(result)) continue;
      const wanted = /O_RDWR/.test(words) ? 'rw' : /O_WRONLY/.test(words) ? 'w' : 'r';
      need(path + folder, wanted);
    } else if (name === 'mmap') {
      const [, path = ''] = /, \d+<(.*?)>, /.exec(words) ?? [];
      if (/PROT_EXEC/.test(words)) need(path, 'm');
    } else if (name === 'flock') {
      need(/^\d+<(.*?)>/.exec(words)?.[1] ?? '', 'k');
    } else if (name === 'socket') {
      const [family = '', type = ''] = words.split(/, |\|/);
      const [of, kind] = [kinds[family] ?? family, kinds[type] ?? type];
      if (!profile.allowsSocket(of, kind)) denied.add(`network ${of} ${kind}`);
    } else if (['connect', 'bind', 'sendmsg'].includes(name)) {
      const [, path = ''] = /sun_path="([^"]*)"/.exec(words) ?? [];
      if (path.startsWith('/')) need(resolve(path), 'w');
    } else if (name === 'mkdir' || name === 'rmdir') need(`${quoted[0] ?? ''}/`, 'w');
    else for (const path of quoted) need(path, 'w');
  }
  if (!started) throw new Error('the trace has no start');
  return [...denied].sort();
}

const traceFile = '/run/rtprelay/trace';

/** Has the daemon of the unit traced from its next start on; its stop is in the trace, too. */
export function traceUnit(machine: IsolatedSystemd, options = ''): void {
  const program = `/usr/bin/rtprelayd --foreground --socket-store=yes ${options}`;
  const lines = [
    '[Service]',
    'ExecStart=',
    // The daemon stays the unit's main process: strace is its grandchild.
    `ExecStart=/usr/bin/strace -D -o ${traceFile} ${traceOptions.join(' ')} ${program}`,
    'RuntimeDirectoryPreserve=yes',
    // Tracing is more than the daemon may.
    'SystemCallFilter=',
    '',
  ];
  machine.write('/etc/systemd/system/rtprelay.service.d/trace.conf', lines.join('\n'));
  machine.succeed('systemctl', 'daemon-reload');
}

/** What the profile would have denied the daemon that `traceUnit` has traced. */
export function unitDenials(machine: IsolatedSystemd, profile: AppArmorProfile): readonly string[] {
  const trace = machine.succeed('cat', traceFile);
  const resolved = new Map<string, string>();
  return denials(profile, trace, (path) => {
    const known = resolved.get(path) ?? machine.run('readlink', '-m', path).output.trim();
    resolved.set(path, known);
    return known;
  });
}
