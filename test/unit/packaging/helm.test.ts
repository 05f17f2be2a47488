/** The Helm chart, and the manifests for those who do without Helm, which are what it makes of its defaults. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ConfigSource } from '../../../src/config/config.js';
import { renderChart, type Value } from '../../support/helm.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const chart = `${root}packaging/helm/rtprelay`;
const manifests = `${root}packaging/kubernetes/rtprelay.yaml`;

interface Json {
  readonly [key: string]: Json;
}

/** The documents of a YAML text. */
function yaml(text: string): readonly Json[] {
  const program =
    'import yaml,json,sys; print(json.dumps([d for d in yaml.safe_load_all(sys.stdin) if d]))';
  return JSON.parse(
    execFileSync('python3', ['-c', program], { input: text, encoding: 'utf8' }),
  ) as Json[];
}

describe('the Helm chart', () => {
  let defaults: Readonly<Record<string, Value>>;
  before(function () {
    if (spawnSync('python3', ['-c', 'import yaml']).status !== 0) {
      console.log('      skipped: python3-yaml is not installed');
      this.skip();
    }
    defaults = yaml(readFileSync(`${chart}/values.yaml`, 'utf8'))[0] ?? {};
  });
  const text = (values: Readonly<Record<string, Value>> = {}): string =>
    [...renderChart(chart, { ...defaults, ...values }, 'relay')]
      .map(([name, body]) => ({ name, body: body.trim() }))
      .filter(({ body }) => body !== '')
      .map(({ name, body }) => `---\n# Source: rtprelay/templates/${name}\n${body}\n`)
      .join('');
  const of = (kind: string, values: Readonly<Record<string, Value>> = {}): Json | undefined =>
    yaml(text(values)).find((each) => (each['kind'] as unknown) === kind);
  const pod = (values: Readonly<Record<string, Value>> = {}): Json =>
    of('StatefulSet', values)?.['spec']?.['template']?.['spec'] ?? {};
  const container = (values: Readonly<Record<string, Value>> = {}): Json => {
    const [only] = pod(values)['containers'] as unknown as readonly Json[];
    return only ?? {};
  };

  it('makes the manifests of packaging/kubernetes (UPDATE_DOCS=1 rewrites them)', () => {
    const head =
      '# What the Helm chart beside it makes of its defaults, with the name relay: kubectl apply -f.\n';
    if (process.env['UPDATE_DOCS'] !== undefined) writeFileSync(manifests, head + text());
    expect(readFileSync(manifests, 'utf8')).to.equal(head + text());
  });

  it("has the node's network and address, no root and no capability", () => {
    expect(pod()).to.deep.include({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' });
    expect(container()['env']).to.deep.include({
      name: 'RTPRELAY_ADDRESS',
      valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } },
    });
    expect(container()['securityContext']).to.deep.equal({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      runAsUser: 64064,
      runAsGroup: 64064,
      seccompProfile: { type: 'RuntimeDefault' },
    });
  });

  it('drains before it stops, and is given the time for it', () => {
    const { lifecycle } = container({ drainSeconds: 90 });
    expect(lifecycle).to.deep.equal({
      preStop: { exec: { command: ['/usr/lib/rtprelay/container/drain', '90', '2223'] } },
    });
    expect(pod({ drainSeconds: 90 })['terminationGracePeriodSeconds']).to.equal(120);
  });

  it('has what is wanted, and only that', () => {
    expect(of('ServiceMonitor')).to.equal(undefined);
    const monitor = of('ServiceMonitor', { serviceMonitor: { enabled: true, interval: '30s' } });
    expect(monitor?.['spec']?.['endpoints']).to.deep.equal([
      { port: 'http', path: '/metrics', interval: '30s' },
    ]);
    expect(of('PodDisruptionBudget')?.['spec']?.['maxUnavailable']).to.equal(1);
    const values = {
      ...{ advertised: 'auto', redis: 'redis:6379', options: ['--log-level=5', '--tos=184'] },
      capabilities: ['BPF', 'NET_ADMIN', 'PERFMON'],
      nodeSelector: { relay: 'true', zone: 'a' },
      tolerations: [{ key: 'relay', operator: 'Exists' }],
    };
    const made = container(values);
    expect(made['env']).to.deep.include({ name: 'RTPRELAY_ADVERTISED', value: 'auto' });
    expect(made['env']).to.deep.include({ name: 'RTPRELAY_REDIS', value: 'redis:6379' });
    expect(made['args']).to.include.members(['--log-level=5', '--tos=184']);
    expect(made['securityContext']?.['capabilities']).to.deep.equal({
      drop: ['ALL'],
      add: values.capabilities,
    });
    // What the kernel forwards outlives the container by its pins.
    expect(made['volumeMounts']).to.deep.equal([{ name: 'bpf', mountPath: '/sys/fs/bpf' }]);
    expect(pod(values)['volumes']).to.deep.equal([
      { name: 'bpf', hostPath: { path: '/sys/fs/bpf', type: 'Directory' } },
    ]);
    expect(container()).to.not.have.property('volumeMounts');
    expect(made['securityContext']?.['runAsUser']).to.equal(0);
    expect(pod(values)).to.deep.include({
      nodeSelector: values.nodeSelector,
      tolerations: values.tolerations,
    });
  });

  it('selects the same pods everywhere, and no pod twice on a node', () => {
    const labels = of('StatefulSet')?.['spec']?.['template']?.['metadata']?.['labels'];
    expect(of('StatefulSet')?.['spec']?.['selector']?.['matchLabels']).to.deep.equal(labels);
    expect(of('Service')?.['spec']?.['selector']).to.deep.equal(labels);
    expect(of('PodDisruptionBudget')?.['spec']?.['selector']?.['matchLabels']).to.deep.equal(
      labels,
    );
    expect(pod()['affinity']?.['podAntiAffinity']).to.have.property(
      'requiredDuringSchedulingIgnoredDuringExecution',
    );
  });

  it('gives the daemon options that it takes', () => {
    const { args, env } = container({
      options: ['--timeout=30'],
      advertised: '203.0.113.9',
      redis: 'redis:6379',
    });
    // As Kubernetes does: by the downward API, and one variable in another.
    const known: Record<string, string> = {
      RTPRELAY_ADDRESS: '192.0.2.1',
      RTPRELAY_ORDINAL: 'relay-3',
    };
    const filled = (text: string): string =>
      text.replace(/\$\((\w+)\)/g, (_whole, name: string) => known[name] ?? '');
    for (const { name, value } of env as unknown as readonly { name: string; value?: string }[]) {
      if (value !== undefined) known[name] = filled(value);
    }
    const words = entrypoint(known, (args as unknown as readonly string[]).map(filled));
    const made = new ConfigSource(['--config-file=none', ...words], {}, () => '', {
      cores: 2,
    }).load();
    if (made.kind !== 'run') throw new Error('does not run');
    expect(made.config.warnings).to.deep.equal([]);
    expect(words).to.include.members([
      '--interface=192.0.2.1!203.0.113.9',
      '--listen-ng=192.0.2.1:2223',
      '--listen-ng=127.0.0.1:2223',
      '--redis=redis:6379/3',
      '--timeout=30',
    ]);
  });
});

/** What the entry point of the container starts rtprelayd with. */
function entrypoint(
  env: Readonly<Record<string, string>>,
  args: readonly string[],
): readonly string[] {
  const script = readFileSync(`${root}packaging/container/entrypoint`, 'utf8')
    .replace('exec /usr/bin/rtprelayd', "printf '%s\\n'")
    .replace('/usr/lib/rtprelay/container/advertised-address', 'echo');
  const output = execFileSync('sh', ['-c', script, 'entrypoint', ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    encoding: 'utf8',
  });
  return output.trim().split('\n');
}

describe('the entry point of the container', () => {
  it('leaves to the arguments what they say', () => {
    const words = entrypoint({}, ['--listen-ng=192.0.2.7:2223', '--interface', '192.0.2.7']);
    expect(words.filter((word) => /^--(listen-ng|interface)/.test(word))).to.deep.equal([
      '--listen-ng=192.0.2.7:2223',
      '--interface',
    ]);
    expect(entrypoint({}, ['--config-file=/x'])).to.deep.equal([
      '--foreground',
      '--log-stderr',
      '--no-log-timestamps',
      '--config-file=/x',
    ]);
  });

  it('serves all addresses without being told any', () => {
    expect(entrypoint({}, [])).to.include.members([
      '--interface=any',
      '--listen-ng=2223',
      '--listen-cli=127.0.0.1:9900',
    ]);
  });

  it('does not start when the cloud does not answer', () => {
    const script = readFileSync(`${root}packaging/container/entrypoint`, 'utf8')
      .replace('exec /usr/bin/rtprelayd', 'echo started')
      .replace('/usr/lib/rtprelay/container/advertised-address', 'false');
    const { status, stdout } = spawnSync('sh', ['-c', script], {
      env: { PATH: process.env['PATH'] ?? '', RTPRELAY_ADVERTISED: 'auto' },
      encoding: 'utf8',
    });
    expect(stdout).to.equal('');
    expect(status).to.not.equal(0);
  });
});
