/** The live page in a browser: it shows what `query` says, and why nothing is heard; it keeps to itself. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { Browser, browserInstalled } from '../support/browsers/browser.js';
import { LivePageInBrowser } from '../support/browsers/live-page.js';
import { MediaDaemon } from '../support/daemons.js';
import type { PortRange } from '../support/free-ports.js';
import { LiveScene, wellBehaved, type SceneCall } from '../support/live-scene.js';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';
import { until } from '../support/wait.js';

const ngPort = 2223;
const origin = 'http://127.0.0.1:8080';
const desktop = { width: 1280, height: 800 };
const telephone = { width: 360, height: 740, mobile: true };

const call = (
  id: string,
  tags: readonly [string, string],
  more: Partial<SceneCall> = {},
): SceneCall => ({
  ...{ id, tags, state: 'answered', phones: [wellBehaved, wellBehaved], ...more },
});

const mute = { ...wellBehaved, sends: false };

interface QueriedStream {
  readonly 'local port'?: number;
  readonly stats: { readonly packets: number };
}

/** `[id, packets a second, MOS …]` of the rows that are shown, from the top. */
const shownIds =
  '[...document.querySelectorAll(".row:not([hidden]):not(.waiting)")].sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top).map((row) => row.querySelector(".id").textContent)';

/** A daemon with its live page, the phones of its calls and a browser, in a network of their own. */
class LiveNetwork {
  #namespace: NetworkNamespace | undefined;
  #daemon: MediaDaemon | undefined;
  #scene: LiveScene | undefined;
  #browser: Browser | undefined;

  constructor(private readonly portRange: PortRange) {}

  get daemon(): MediaDaemon {
    if (this.#daemon === undefined) throw new Error('no daemon');
    return this.#daemon;
  }

  async start(): Promise<{ scene: LiveScene; page: LivePageInBrowser }> {
    this.#namespace = new NetworkNamespace('live');
    await this.startDaemon();
    this.#scene = await LiveScene.start(this.#namespace, ngPort);
    this.#browser = await Browser.start('chromium', this.#namespace.name);
    const page = await LivePageInBrowser.open(this.#browser, origin, desktop);
    return { scene: this.#scene, page };
  }

  async startDaemon(): Promise<void> {
    if (this.#namespace === undefined) throw new Error('no network');
    this.#daemon = await MediaDaemon.start('rtprelayd', {
      ...{ namespace: this.#namespace.name, controlPort: ngPort, portRange: this.portRange },
      extra: ['--listen-http=127.0.0.1:8080', '--live-page'],
    });
    await this.#daemon.process.untilLogged('Startup complete');
  }

  async stop(): Promise<void> {
    this.#scene?.stop();
    await this.#browser?.stop();
    await this.#daemon?.stop('SIGKILL');
    await this.#namespace?.killAll();
    this.#browser?.removeFiles();
    this.#namespace?.remove();
  }
}

describe('live page', function () {
  this.timeout(180_000);
  const network = new LiveNetwork({ min: 30_000, max: 30_199 });
  let scene: LiveScene;
  let page: LivePageInBrowser;

  before(async function () {
    if (!namespacesAllowed() || !browserInstalled('chromium')) this.skip();
    ({ scene, page } = await network.start());
  });
  after(() => network.stop());

  /** Rows keep their places for two seconds. */
  const inOrder = (ids: readonly string[]): Promise<void> =>
    page.until(`JSON.stringify(${shownIds}) === '${JSON.stringify(ids)}'`, ids.join(', '), 30_000);

  it('says so when there are no calls', async () => {
    await page.until(
      'document.querySelector("#empty").innerText.startsWith("No calls")',
      'the word',
    );
    expect(await page.text('#matching')).to.equal('0 calls');
  });

  it('shows what query says of a call', async () => {
    await scene.ask({ op: 'call', call: call('well', ['alice', 'bob']) });
    await page.until('document.querySelector(".row.ok .id")?.textContent === "well"', 'the call');
    const rate = '.row .figure.in .num';
    await page.until(
      `Math.abs(Number(document.querySelector("${rate}").textContent) - 100) < 25`,
      'its 100 packets a second',
      40_000,
    );
    await page.click('.row');
    await page.until('document.querySelectorAll("#detail .way").length === 2', 'its directions');
    const reply = (await scene.ask({ op: 'query', id: 'well' })) as {
      readonly tags: Record<string, { readonly medias: readonly { streams: QueriedStream[] }[] }>;
    };
    const rtp = (tag: string): QueriedStream | undefined => reply.tags[tag]?.medias[0]?.streams[0];
    const ports =
      '[...document.querySelectorAll(".station.port small")].map((each) => each.textContent)';
    expect(await page.evaluate(ports)).to.deep.equal(
      ['alice', 'bob'].map((tag) => `127.0.0.1:${rtp(tag)?.['local port'] ?? 0}`),
    );
    // What query has said is exceeded by what is shown a moment later.
    const came = rtp('alice')?.stats.packets ?? Infinity;
    const counted =
      'Number(/^([\\d\\u202f]+) came/.exec(document.querySelector(".way p.facts").innerText)[1].replaceAll("\\u202f", ""))';
    await page.until(`${counted} >= ${came}`, 'as many packets');
    expect(Number(await page.evaluate(counted))).to.be.lessThan(came + 5000);
    expect(await page.text('#detail .summary')).to.equal('Media flows in all directions.');
    expect(await page.text('.station.userspace b')).to.equal('userspace');
  });

  it('marks where a broken call loses, with the sentence of explain', async () => {
    await scene.ask({
      op: 'call',
      call: call('broken', ['carol', 'dave'], { phones: [wellBehaved, mute] }),
    });
    await page.until(
      'document.querySelector(".row.one-way .id")?.textContent === "broken"',
      'the call',
      30_000,
    );
    await inOrder(['broken', 'well']);
    await page.click('.row.one-way');
    await page.until('document.querySelector("#detail h2").textContent === "broken"', 'the call');
    await page.until('document.querySelector("#detail .lane.loses") !== null', 'its path');
    expect(await page.text('#detail .summary')).to.equal(
      "Media flows one way only: 'carol' is heard by 'dave', not the other way round.",
    );
    const marked = await page.evaluate(
      '[...document.querySelectorAll("#detail .lane.loses")].map((lane) => lane.className)',
    );
    // From dave, on the right, to his port.
    expect(marked).to.deep.equal(['lane back hop4 still loses']);
    expect(await page.text('#detail .way:last-child .cause')).to.match(
      /packets have left for 'dave' at 127\.0\.0\.1:\d+, and nothing has come from it/,
    );
  });

  it('takes a call on hold for none that is in trouble', async () => {
    await scene.ask({
      op: 'call',
      call: call('held', ['walter', 'trent'], { state: 'hold' }),
    });
    await page.until('document.querySelector(".row.hold .id")?.textContent === "held"', 'the call');
    await page.click('.row.hold');
    const summary = '#detail .summary.calm';
    await page.until(`document.querySelector("${summary}") !== null`, 'its sentence', 40_000);
    expect(await page.text(summary)).to.equal(
      "The call is on hold: 'trent' is heard by 'walter', not the other way round.",
    );
    expect(await page.evaluate('document.querySelector("#detail .lane.loses")')).to.equal(null);
    expect(await page.text('#detail .way .tag')).to.equal('on hold');
    await scene.ask({ op: 'end', id: 'held' });
    await page.press('Escape');
    await page.until(
      'document.querySelector(".row.hold:not([hidden])") === null',
      'its end',
      40_000,
    );
  });

  it('is used by keyboard', async () => {
    await page.press('Escape');
    expect(await page.evaluate('document.querySelector("#detail").hidden')).to.equal(true);
    await page.press('Home');
    await page.press('ArrowDown');
    await page.press('Enter');
    await page.until('!document.querySelector("#detail").hidden', 'a call');
    expect(await page.text('#detail h2')).to.equal('well');
    await page.press('Escape');
    await page.press('/', 'Slash');
    expect(await page.evaluate('document.activeElement.id')).to.equal('search');
  });

  it('finds and sorts at the daemon', async () => {
    for (const [id, tags] of [
      ['third', ['erin', 'frank']],
      ['fourth', ['grace', 'heidi']],
    ] as const) {
      await scene.ask({ op: 'call', call: call(id, tags) });
    }
    await page.type('HEIDI');
    await page.until(`JSON.stringify(${shownIds}) === '["fourth"]'`, 'what was searched');
    expect(await page.text('#matching')).to.equal('1 of 4');
    await page.evaluate(
      '(search => { search.value = ""; search.dispatchEvent(new Event("input")); })(document.querySelector("#search"))',
    );
    await page.click('#columns [data-sort="id"]');
    await inOrder(['broken', 'fourth', 'third', 'well']);
    await page.click('#columns [data-sort="id"]');
    await inOrder(['well', 'third', 'fourth', 'broken']);
    await page.click('#worst');
    await page.until(`${shownIds}[0] === 'broken'`, 'the worst on top', 30_000);
  });

  it('is dark and light, as the system has it or as it is told', async () => {
    const ground = 'getComputedStyle(document.body).backgroundColor';
    await page.prefer('light');
    const light = await page.evaluate(ground);
    await page.prefer('dark');
    const dark = await page.evaluate(ground);
    expect(dark).to.not.equal(light);
    await page.click('#theme');
    await page.prefer('light');
    expect(await page.evaluate(ground), 'dark by choice').to.equal(dark);
    await page.click('#theme');
    await page.prefer('dark');
    expect(await page.evaluate(ground), 'light by choice').to.equal(light);
  });

  it('fits a telephone', async () => {
    await page.resize(telephone);
    const wide = 'document.documentElement.scrollWidth > document.documentElement.clientWidth';
    await page.until(`!(${wide})`, 'a list without scrolling sideways');
    await page.click('.row');
    await page.until('document.querySelectorAll("#detail .way").length === 2', 'the call');
    expect(await page.evaluate(wide)).to.equal(false);
    const box = 'document.querySelector("#detail")';
    expect(await page.evaluate(`${box}.scrollWidth <= ${box}.clientWidth`)).to.equal(true);
    expect(await page.evaluate(`${box}.getBoundingClientRect().width`)).to.equal(telephone.width);
    await page.click('#detail .close');
    await page.resize(desktop);
  });

  it('asks nobody else for anything, and does nothing that its policy forbids', async () => {
    const asked = (await page.evaluate(
      'performance.getEntriesByType("resource").map(({ name }) => name)',
    )) as string[];
    expect(asked.length).to.be.greaterThan(2);
    for (const name of asked) expect(name.startsWith(`${origin}/live/`), name).to.equal(true);
    expect(await page.evaluate('window.violations')).to.deep.equal([]);
    // The policy is in force: what is inline does not run.
    await page.evaluate(
      '(() => { const script = document.createElement("script"); script.textContent = "window.ran = true"; document.body.append(script); })()',
    );
    await page.until('window.violations.length > 0', 'a violation');
    expect(await page.evaluate('window.ran === undefined')).to.equal(true);
  });

  it('says that the daemon is gone, and comes back with the next one', async () => {
    await network.daemon.stop('SIGKILL');
    await page.until('document.querySelector("#link").dataset.state === "lost"', 'the loss');
    expect(await page.text('#banner')).to.match(/^No connection to the daemon, trying again/);
    await network.startDaemon();
    await page.until(
      'document.querySelector("#link").dataset.state === "live"',
      'the feed',
      40_000,
    );
    await until(async () => (await page.text('#matching')) === '0 calls', 'an empty list');
  });
});

const markup = '<img src=x onerror="window.ran = true">&lt;';
/** Call-ids that are something else than text somewhere: markup, terminals, the other direction, a wish, an address. */
const hostile: Readonly<Record<string, string>> = {
  [markup]: markup,
  '</b><script>window.ran = true</script>': '</b><script>window.ran = true</script>',
  'c1-\u009b31m': 'c1-\\u009b31m',
  'bidi-\u202egpj.exe': 'bidi-\\u202egpj.exe',
  'thin-\u200bspace': 'thin-\\u200bspace',
  'line\r\nfeed\u0000': 'line\\u000d\\u000afeed\\u0000',
  '#call=%41%ff%': '#call=%41%ff%',
  '{"sort":"x"}"\\': '{"sort":"x"}"\\',
};
/** As it comes off the wire: a character for each byte. */
const wire = (text: string): string => Buffer.from(text).toString('latin1');
const veryLong = `long-${'w'.repeat(9000)}`;

describe('live page with what nobody expects', function () {
  this.timeout(180_000);
  const network = new LiveNetwork({ min: 16_384, max: 65_000 });
  let scene: LiveScene;
  let page: LivePageInBrowser;

  before(async function () {
    if (!namespacesAllowed() || !browserInstalled('chromium')) this.skip();
    ({ scene, page } = await network.start());
  });
  after(() => network.stop());

  const fits = (box = 'document.documentElement'): string =>
    `${box}.scrollWidth <= ${box}.clientWidth`;
  const escape = async (): Promise<void> => {
    await page.press('Escape');
    await page.until('document.querySelector("#detail").hidden', 'the list alone');
  };

  it('shows ids of any kind as text, in the list and in full', async () => {
    const ids = Object.keys(hostile).map(wire);
    await scene.ask({ op: 'offers', ids });
    await page.until(`${shownIds}.length === ${ids.length}`, 'all of them', 40_000);
    const shown = (await page.evaluate(shownIds)) as string[];
    expect(shown).to.have.members(Object.values(hostile));
    for (const text of Object.values(hostile)) {
      const row = `[...document.querySelectorAll(".row:not([hidden])")].find((row) => row.querySelector(".id").textContent === ${JSON.stringify(text)})`;
      await page.until(`(${row})?.click() ?? (${row}) !== undefined`, text);
      await page.until(
        `document.querySelector("#detail h2").textContent === ${JSON.stringify(text)} && document.querySelector("#detail .summary") !== null`,
        `${text} in full`,
      );
      expect(await page.text('#detail .summary'), text).to.not.match(/^There is no such call/);
      await escape();
    }
    expect(await page.evaluate('window.ran === undefined')).to.equal(true);
    expect(await page.evaluate('window.violations')).to.deep.equal([]);
    expect(
      await page.evaluate('document.querySelectorAll("#rows img, #detail img").length'),
    ).to.equal(0);
  });

  it('opens a call whose id is longer than a wish, on a telephone too, and after the page is loaded anew', async () => {
    await scene.ask({ op: 'offers', ids: [veryLong] });
    const row =
      '[...document.querySelectorAll(".row:not([hidden])")].find((row) => row.querySelector(".id").textContent.startsWith("long-"))';
    await page.until(`(${row})?.click() ?? (${row}) !== undefined`, 'its row', 40_000);
    const inFull =
      'document.querySelector("#detail .summary") !== null && document.querySelector("#detail h2").textContent.startsWith("long-www")';
    await page.until(inFull, 'the call');
    expect(await page.text('#detail .summary')).to.not.match(/^There is no such call/);
    await page.resize(telephone);
    await page.until(fits(), 'no scrolling sideways');
    await page.until(
      fits('document.querySelector("#detail")'),
      'no scrolling sideways in the call',
    );
    await page.command('Page.reload', {});
    await page.until(inFull, 'the call again', 40_000);
    expect(await page.evaluate('document.querySelector("#link").dataset.state')).to.equal('live');
    await page.resize(desktop);
    await escape();
  });

  it('stays with the list when its address names what no call can be called', async () => {
    await page.evaluate(`location.hash = "#call=" + "x".repeat(5000)`);
    await page.until('document.querySelector("#detail").hidden', 'the list alone');
    await page.until('document.querySelector("#link").dataset.state === "live"', 'the feed');
    await page.evaluate('location.hash = "#call=%ff"');
    await page.until('document.querySelector("#detail").hidden', 'the list alone');
  });

  it('lists thousands of calls: those in sight alone are built, and the keyboard reaches the last one', async () => {
    // A call that rings has four sockets.
    const limits = readFileSync(`/proc/${network.daemon.process.pid}/limits`, 'latin1');
    const descriptors = Number(/^Max open files +(\d+)/m.exec(limits)?.[1]);
    const total = Math.min(5000, Math.floor((descriptors - 400) / 4));
    expect(total).to.be.greaterThan(1000);
    const more = total - Object.keys(hostile).length - 1;
    const ids = Array.from({ length: more }, (_, at) => `many-${String(at).padStart(4, '0')}`);
    await scene.ask({ op: 'offers', ids });
    await page.until(
      `document.querySelector("#matching").innerText === "${total.toLocaleString('en-US').replace(',', '\u202f')} calls"`,
      'all',
      60_000,
    );
    await page.click('#columns [data-sort="id"]');
    await page.evaluate('document.querySelector("#rows").focus()');
    await page.press('End');
    const selected =
      'document.getElementById(document.querySelector("#rows").getAttribute("aria-activedescendant"))';
    await page.until(`${selected}?.getAttribute("aria-posinset") === "${total}"`, 'the last');
    await page.until(
      `/^[{]"sort/.test(${selected}?.querySelector(".id").textContent)`,
      'its call',
      40_000,
    );
    await page.press('ArrowUp');
    await page.press('ArrowUp');
    await page.until(
      `${selected}.querySelector(".id").textContent === "many-${more - 1}"`,
      'the one before',
    );
    await page.press('Enter');
    await page.until(
      `document.querySelector("#detail h2").textContent === "many-${more - 1}"`,
      'it in full',
    );
    await escape();
    await page.press('Home');
    await page.until(`${selected}.getAttribute("aria-posinset") === "1"`, 'the first');
    expect(Number(await page.evaluate('document.querySelectorAll(".row").length'))).to.be.lessThan(
      100,
    );
  });
});
