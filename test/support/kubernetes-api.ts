/**
 * As much of a Kubernetes API server as `kubectl apply` asks of one: what kinds there are (discovery), that it validates fields
 * itself (its OpenAPI), and a place for objects. It takes what it is given; tests look at it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

interface Kind {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
}

const kinds: readonly Kind[] = [
  { group: '', kind: 'Service', plural: 'services' },
  { group: 'apps', kind: 'StatefulSet', plural: 'statefulsets' },
  { group: 'policy', kind: 'PodDisruptionBudget', plural: 'poddisruptionbudgets' },
];
const groups = [...new Set(kinds.map(({ group }) => group))];
const versionOf = (group: string): string => (group === '' ? 'v1' : `${group}/v1`);
const pathOf = (group: string): string => (group === '' ? '/api/v1' : `/apis/${group}/v1`);

export interface Created {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  /** How strict the client has asked it to be. */
  readonly validation: string | null;
}

/** Answers that do not depend on what has been created, by path. */
function documents(): ReadonlyMap<string, unknown> {
  const named = groups.filter((group) => group !== '');
  const answers = new Map<string, unknown>([
    ['/api', { kind: 'APIVersions', versions: ['v1'] }],
    [
      '/apis',
      {
        ...{ kind: 'APIGroupList', apiVersion: 'v1' },
        groups: named.map((name) => {
          const version = { groupVersion: versionOf(name), version: 'v1' };
          return { name, versions: [version], preferredVersion: version };
        }),
      },
    ],
    [
      '/openapi/v3',
      {
        paths: Object.fromEntries(
          groups.map((group) => [
            pathOf(group).slice(1),
            { serverRelativeURL: `/openapi/v3${pathOf(group)}?hash=1` },
          ]),
        ),
      },
    ],
  ]);
  for (const group of groups) {
    const own = kinds.filter((each) => each.group === group);
    const verbs = ['create', 'get', 'patch'];
    answers.set(pathOf(group), {
      ...{ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: versionOf(group) },
      resources: own.map(({ kind, plural }) => ({
        ...{ name: plural, singularName: kind.toLowerCase(), namespaced: true, kind, verbs },
      })),
    });
    const parameters = [{ name: 'fieldValidation', in: 'query', schema: { type: 'string' } }];
    answers.set(`/openapi/v3${pathOf(group)}`, {
      ...{ openapi: '3.0.0', info: { title: 'Kubernetes', version: '1' } },
      paths: Object.fromEntries(
        own.map(({ kind, plural }) => [
          `${pathOf(group)}/namespaces/{namespace}/${plural}/{name}`,
          {
            patch: {
              ...{ parameters, responses: {} },
              'x-kubernetes-group-version-kind': { group, version: 'v1', kind },
            },
          },
        ]),
      ),
    });
  }
  return answers;
}

export class KubernetesApi {
  readonly #server: Server;
  readonly created: Created[] = [];

  private constructor() {
    const answers = documents();
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const url = new URL(request.url ?? '/', 'http://localhost');
      let body = '';
      for await (const chunk of request) body += String(chunk);
      const known = answers.get(url.pathname);
      let [status, value] = [200, known];
      if (request.method === 'POST') {
        const object = JSON.parse(body) as Created;
        this.created.push({ ...object, validation: url.searchParams.get('fieldValidation') });
        [status, value] = [201, object];
      } else if (known === undefined) {
        const message = `${url.pathname} is not there`;
        value = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message };
        value = { ...Object(value), reason: 'NotFound', code: 404 };
        status = 404;
      }
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    this.#server = createServer((request, response) => void answer(request, response));
  }

  static async listen(port: number): Promise<KubernetesApi> {
    const api = new KubernetesApi();
    await new Promise<void>((resolve) => api.#server.listen(port, '127.0.0.1', resolve));
    return api;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
