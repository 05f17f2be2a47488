/**
 * The chart as Go's own text/template, sprig and sigs.k8s.io/yaml fill it in (helm/main.go, built in a Debian that
 * scripts/package-test prepares), against what the tests without them make of it.
 */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderChart, type Value } from '../support/helm.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const chart = `${root}packaging/helm/rtprelay`;
const system = `${root}build/roots/helm`;

/** In each everything that the templates ask about is otherwise. */
const cases: Readonly<Record<string, Readonly<Record<string, Value>>>> = {
  'its defaults': {},
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

describe("the Helm chart by Go's templates", function () {
  this.timeout(60_000);
  before(function () {
    if (!existsSync(`${system}/usr/local/bin/render`)) {
      console.log('      skipped: scripts/package-test prepares it');
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
    });
  }
});
