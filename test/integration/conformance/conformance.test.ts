/**
 * The tables of rows/ against one daemon: every reply byte for byte. `CONFORMANCE_UPDATE=1` writes what comes
 * into the files, to be read against the reference; `CONFORMANCE_SUBJECT=rtpengine-12.5` (or `rtpengine`)
 * shows what they say to the same requests.
 */
import { expect } from 'chai';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { MediaDaemon, type DaemonKind } from '../../support/daemons.js';
import type { NgClient } from '../../support/ng-client.js';
import { Names, parseRows, requestOf, shownReply, writeRows, type Row, type Step } from './row.js';

const folder = new URL('./rows/', import.meta.url);
const subject = (process.env['CONFORMANCE_SUBJECT'] ?? 'rtprelayd') as DaemonKind;
const update = process.env['CONFORMANCE_UPDATE'] !== undefined;

const interfaces = [...['lo/127.0.0.1', 'ext/127.0.0.1!203.0.113.5', 'dual/127.0.0.1', 'dual/::1']];

describe(`conformance of ${subject}, reply by reply`, () => {
  let daemon: MediaDaemon | undefined;
  let client: NgClient | undefined;

  before(async () => {
    daemon = await MediaDaemon.start(subject, { interfaces, mediaPorts: 400 });
    client = daemon.client();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });

  async function play(row: Row, callId: string): Promise<ReadonlyMap<Step, readonly string[]>> {
    if (daemon === undefined || client === undefined) throw new Error('not started');
    const { ports } = daemon;
    const names = new Names((port) => port >= ports.min && port <= ports.max);
    const replies = new Map<Step, readonly string[]>();
    for (const step of row.steps) {
      const reply = await client.ask(requestOf(step, callId));
      replies.set(step, shownReply(step, reply, names));
    }
    await client.ask({ command: 'delete', 'call-id': callId, 'delete-delay': 0 });
    return replies;
  }

  for (const file of readdirSync(folder).toSorted()) {
    describe(file.replace('.txt', ''), () => {
      const path = new URL(file, folder);
      const text = readFileSync(path, 'latin1');
      const rows = parseRows(text);
      const all = new Map<Step, readonly string[]>();

      rows.forEach((row, at) => {
        it(row.name, async () => {
          const replies = await play(row, `${file}-${at}`);
          if (update) {
            for (const [step, reply] of replies) all.set(step, reply);
            return;
          }
          for (const step of row.steps) expect(replies.get(step)).to.deep.equal(step.reply);
        });
      });

      after(() => {
        const heading = text.slice(0, text.search(/^# /m));
        if (update) writeFileSync(path, writeRows(heading, rows, all), 'latin1');
      });
    });
  }
});
