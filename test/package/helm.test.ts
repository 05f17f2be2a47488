/**
 * The chart as Go's own text/template, sprig and sigs.k8s.io/yaml fill it in (helm/main.go, built in a Debian that
 * scripts/kubernetes-root makes), against what the tests without them make of it.
 */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Commands } from '../support/document.js';
import { renderChart, type Value } from '../support/helm.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const chart = `${root}packaging/helm/rtprelay`;
const system = `${root}build/roots/helm`;

const manual = new Commands('packages.md').take(
  'helm install relay packaging/helm/rtprelay --set redis=redis:6379 --set advertised=auto',
);

/** In each everything that the templates ask about is otherwise. */
const cases: Readonly<Record<string, Readonly<Record<string, Value>>>> = {
  'its defaults': {},
  [`what is given in: ${manual}`]: Object.fromEntries(
    [...manual.matchAll(/--set (\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]),
  ),
  'everything set': {
    ...{ advertised: 'auto', redis: 'redis:6379', options: ['--log-level=5', '--tos=184'] },
    capabilities: ['BPF', 'NET_ADMIN', 'PERFMON'],
    nodeSelector: { relay: 'true', zone: 'a' },
    tolerations: [{ key: 'relay', operator: 'Exists', effect: 'NoSchedule' }],
    serviceMonitor: { enabled: true, interval: '30s' },
    podDisruptionBudget: { maxUnavailable: 2 },
    drainSeconds: 90,
  },
};

describe("the Helm chart by Go's templates and Kubernetes' types", function () {
  this.timeout(60_000);
  before(function () {
    if (!existsSync(`${system}/usr/local/bin/check`)) {
      console.log('      skipped: scripts/kubernetes-root prepares it');
      this.skip();
    }
  });

  /** YAML is a superset of JSON. */
  const defaults = (): Readonly<Record<string, Value>> => {
    const program = 'import yaml,json,sys; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))';
    const { stdout } = spawnSync('python3', ['-c', program, `${chart}/values.yaml`], {
      encoding: 'utf8',
    });
    return JSON.parse(stdout) as Readonly<Record<string, Value>>;
  };

  for (const [name, changes] of Object.entries(cases)) {
    it(`is the same text with ${name}`, () => {
      const values = { ...defaults(), ...changes };
      cpSync(chart, `${system}/chart`, { recursive: true });
      writeFileSync(`${system}/chart/given.json`, JSON.stringify(values));
      const words = [system, 'render', '/chart', '/chart/given.json', 'relay'];
      const { status, stdout, stderr } = spawnSync('chroot', words, { encoding: 'utf8' });
      expect(status, stderr).to.equal(0);
      const ours = [...renderChart(chart, values, 'relay')].map(
        ([file, text]) => `# ${file}\n${text}`,
      );
      expect(ours.join('')).to.equal(stdout);
      // And Kubernetes' own types have each of its fields.
      writeFileSync(
        `${system}/chart/made.yaml`,
        `---\n${stdout.replace(/^(?=# \S+\.yaml$)/gm, '---\n')}`,
      );
      const read = spawnSync('chroot', [system, 'check', '/chart/made.yaml'], { encoding: 'utf8' });
      expect(read.stderr).to.equal('');
      const kinds = ['PodDisruptionBudget relay', 'Service relay', 'StatefulSet relay'];
      const more = 'serviceMonitor' in changes ? ['ServiceMonitor relay'] : [];
      expect(read.stdout.trim().split('\n')).to.have.members([...kinds, ...more]);
    });
  }

  it('has Kubernetes refuse a field that its types do not have', () => {
    const text = readFileSync(`${root}packaging/kubernetes/rtprelay.yaml`, 'utf8');
    const looked = (name: string, changed: string): string => {
      writeFileSync(`${system}/chart/${name}`, changed);
      return spawnSync('chroot', [system, 'check', `/chart/${name}`], { encoding: 'utf8' }).stderr;
    };
    expect(looked('as-it-is.yaml', text)).to.equal('');
    const wrong = text.replace('  maxUnavailable: 1', '  maxUnavailable: 1\n  minimum: 1');
    expect(looked('wrong.yaml', wrong)).to.match(
      /PodDisruptionBudget: .*unknown field "(spec\.)?minimum"/,
    );
  });
});
