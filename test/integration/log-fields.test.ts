/** What lines of the log are made of: JSON as its schema says, and the lines of one call. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, mediaPort } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));
const run = promisify(execFile);

interface Property {
  readonly type?: 'string' | 'number' | 'integer';
  readonly enum?: readonly string[];
}

interface Schema {
  readonly properties: Readonly<Record<string, Property>>;
  readonly required: readonly string[];
  readonly additionalProperties: false;
}

const schema = JSON.parse(
  readFileSync(new URL('../../docs/log.schema.json', import.meta.url), 'utf8'),
) as Schema;

function fits(value: unknown, { type, enum: names }: Property): boolean {
  if (names !== undefined) return names.includes(String(value));
  return type === 'integer' ? Number.isInteger(value) : typeof value === type;
}

/** What is wrong with a line by the schema; null: nothing. */
function wrong(line: string): string | null {
  const object = JSON.parse(line) as Record<string, unknown>;
  const missing = schema.required.find((name) => !(name in object));
  if (missing !== undefined) return `no ${missing}: ${line}`;
  for (const [name, value] of Object.entries(object)) {
    const property = schema.properties[name];
    if (property === undefined || !fits(value, property)) return `${name}: ${line}`;
  }
  return null;
}

describe('fields of the log', function () {
  this.timeout(40_000);

  it('are those of the schema, and rtprelayctl log has the lines of one call', async () => {
    const cli = freeTcpPort();
    const daemon = await MediaDaemon.start('rtprelayd', {
      ...{ logLevel: 7, extra: ['--log-format=json', `--listen-cli=127.0.0.1:${cli}`] },
    });
    const client = daemon.client();
    const phone = await RtpEndpoint.open();
    try {
      const call = { 'call-id': 'fields', 'from-tag': 'one' };
      await client.request({ command: 'offer', ...call, sdp: audioSdp(phone.port) });
      const answer = { command: 'answer', ...call, 'to-tag': 'two', sdp: audioSdp(20_000) };
      const port = mediaPort(await client.request(answer));
      await client.request({ command: 'offer', 'call-id': 'other', 'from-tag': 'x', sdp: 'none' });
      const lines = (): readonly string[] =>
        daemon.process
          .log()
          .split('\n')
          .filter((line) => line.startsWith('{'));
      await until(() => {
        phone.send(port);
        return lines().some((line) => line.includes('Confirmed peer address'));
      }, 'a line about a port');
      for (const line of lines().slice(0, -1)) expect(wrong(line)).to.equal(null);
      const confirmed = lines().find((line) => line.includes('Confirmed peer address')) ?? '{}';
      expect(JSON.parse(confirmed)).to.include({ callId: 'fields', port, tag: 'one' });
      const { stdout } = await run(program, ['-port', String(cli), 'log', 'fields']);
      const shown = stdout.trimEnd().split('\n');
      expect(shown.length).to.be.greaterThan(3);
      for (const line of shown) {
        expect(line).to.match(
          /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [A-Z]+: \[fields(?: port \d+)?\]: \[\w+\] /,
        );
      }
      expect(stdout).to.include('Confirmed peer address');
      const unknown = await run(program, ['-port', String(cli), 'log', 'nosuch']).catch(
        (error: unknown) => (error as { readonly code: number }).code,
      );
      expect(unknown).to.equal(1);
    } finally {
      phone.close();
      client.close();
      await daemon.stop();
    }
  });
});
