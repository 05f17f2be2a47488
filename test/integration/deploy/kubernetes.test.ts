/** `kubectl apply` as docs/packages.md has it, to a stand-in of the API server. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder } from '../../support/child-process.js';
import { Commands } from '../../support/document.js';
import { freeTcpPort } from '../../support/free-ports.js';
import { KubernetesApi } from '../../support/kubernetes-api.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
/** Of scripts/kubernetes-root: Debian's. It is one file without libraries. */
const debians = `${root}build/roots/helm/usr/bin`;

describe('kubectl', function () {
  this.timeout(120_000);
  const path = isInstalled('kubectl')
    ? ''
    : existsSync(`${debians}/kubectl`)
      ? `${debians}:`
      : null;
  before(function () {
    if (path !== null) return;
    console.log('      skipped: kubectl is not installed (scripts/kubernetes-root has it)');
    this.skip();
  });

  it('applies the manifests, and has each object validated strictly', async () => {
    const folder = new TemporaryFolder('kubectl');
    const port = freeTcpPort();
    const api = await KubernetesApi.listen(port);
    try {
      const cluster = `{apiVersion: v1, kind: Config, current-context: test,
        contexts: [{name: test, context: {cluster: test}}],
        clusters: [{name: test, cluster: {server: 'http://127.0.0.1:${port}'}}]}`;
      const command = new Commands('packages.md').take(
        'kubectl apply -f packaging/kubernetes/rtprelay.yaml',
      );
      const line = `printf %s "$CLUSTER" >"$KUBECONFIG"; ${command}`;
      const shell = spawn('sh', ['-ec', line], {
        cwd: root,
        env: {
          ...{ HOME: folder.path, KUBECONFIG: folder.file('config'), CLUSTER: cluster },
          PATH: `${path ?? ''}${process.env['PATH'] ?? ''}`,
        },
      });
      let said = '';
      for (const stream of [shell.stdout, shell.stderr])
        stream.on('data', (bytes: Buffer) => (said += bytes.toString('utf8')));
      const [status] = (await once(shell, 'close')) as [number | null];
      expect(status, said).to.equal(0);
      expect(said.match(/ created$/gm), said).to.have.length(3);
      expect(api.created.map(({ kind, metadata: { name } }) => `${kind} ${name}`)).to.have.members([
        'Service relay',
        'StatefulSet relay',
        'PodDisruptionBudget relay',
      ]);
      expect(new Set(api.created.map(({ validation }) => validation))).to.deep.equal(
        new Set(['Strict']),
      );
    } finally {
      api.close();
      folder.remove();
    }
  });
});
