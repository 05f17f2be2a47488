/** Plans that are the same again for the same seed, by what they are about. */
import type { NgDictionary } from '../../../support/bencode.js';
import { pickOf, randomSource, type Below } from '../../../support/random.js';
import type { Party } from '../sequence.js';
import type { Manner, OfferedBody, OfferedSection } from './phones.js';
import type { Plan, PlanStep } from './plan.js';
import {
  addressKeys,
  attributeKeys,
  audioLines,
  codecKeys,
  deleteKeys,
  directionLines,
  flagKeys,
  muxKeys,
  otherKeys,
  placeKeys,
  profileOf,
  profiles,
  replaceKeys,
  fragmentKeys,
  fragments,
  removalKeys,
  secureKeys,
  selectingCommands,
  selectionKeys,
  sessionLines,
  spelledKeys,
  subscriptionKeys,
  wordsOfFlags,
  type Profile,
} from './vocabulary.js';
import { meaning } from './shrink.js';

export const subjects = [
  ...(['bodies', 'codecs', 'attributes', 'security', 'sections'] as const),
  ...(['branches', 'publications', 'traffic', 'places'] as const),
  ...(['ends', 'parties', 'subscribers', 'words', 'fragments'] as const),
];
export type Subject = (typeof subjects)[number];

/** Not asked of 10.5: it knows no `rtpp-flags` and no strings for lists, and hangs on some trickle fragments. */
export const isOfLater = (subject: Subject): boolean =>
  subject === 'words' || subject === 'fragments';

const events = 'a=rtpmap:101 telephone-event/8000';
const opus = ['a=rtpmap:96 opus/48000/2', 'a=fmtp:96 useinbandfec=1'] as const;

/** The vocabulary of a subject. */
interface Words {
  readonly keys: readonly NgDictionary[];
  readonly lines: readonly string[];
  readonly sessionLines: readonly string[];
  /** At most so many sections. */
  readonly sections: number;
}

const words: Readonly<Record<Subject, Words>> = {
  bodies: {
    keys: [...replaceKeys, ...flagKeys, ...muxKeys, ...otherKeys],
    lines: [...audioLines, ...directionLines],
    ...{ sessionLines, sections: 2 },
  },
  codecs: {
    keys: codecKeys,
    lines: ['a=ptime:20', 'a=rtcp-fb:0 nack', 'a=rtcp-fb:8 nack', 'a=rtcp-fb:* ccm fir'],
    ...{ sessionLines: [], sections: 2 },
  },
  attributes: {
    keys: attributeKeys,
    lines: audioLines,
    ...{ sessionLines: ['a=x-sess', 'a=tool:abc'], sections: 2 },
  },
  security: { keys: secureKeys, lines: [], sessionLines: ['a=ice-lite'], sections: 1 },
  sections: {
    keys: [...replaceKeys.slice(0, 3), ...muxKeys, ...otherKeys.slice(-6), ...flagKeys.slice(0, 4)],
    lines: ['a=rtcp-mux', 'a=sendonly', 'a=inactive', 'a=bundle-only'],
    ...{ sessionLines: [], sections: 4 },
  },
  branches: {
    keys: [...replaceKeys, ...muxKeys, ...otherKeys.slice(0, 5)],
    lines: ['a=rtcp-mux', 'a=sendonly'],
    ...{ sessionLines: [], sections: 1 },
  },
  publications: {
    keys: [...replaceKeys, ...flagKeys.slice(0, 5), ...placeKeys, ...muxKeys],
    lines: ['a=rtcp-mux', 'a=mid:1', 'a=ptime:20', 'a=x-foo'],
    ...{ sessionLines: [], sections: 2 },
  },
  traffic: {
    keys: [
      ...['backwards', 'both', 'blackhole', 'forward'].map((word) => ({ 'media-echo': word })),
      ...['block-media', 'asymmetric', 'strict-source', 'unidirectional', 'symmetric'].map(
        (word) => ({
          flags: [word],
        }),
      ),
      ...addressKeys.slice(0, 2),
      ...muxKeys,
    ],
    lines: [...directionLines, 'a=rtcp-mux'],
    ...{ sessionLines: [], sections: 1 },
  },
  places: {
    keys: [...placeKeys, ...replaceKeys, { flags: ['full-rtcp-attribute'] }, { ICE: 'force' }],
    lines: ['a=rtcp:6101', 'a=rtcp:6101 IN IP4 192.0.2.11', 'a=sendonly'],
    ...{ sessionLines: [], sections: 2 },
  },
  ends: { keys: [{ 'delete-delay': 1 }, { label: 'L' }], lines: [], sessionLines: [], sections: 1 },
  parties: {
    keys: [{ label: 'L' }, { label: 'M' }, { flags: ['block-media'] }],
    lines: [],
    ...{ sessionLines: [], sections: 1 },
  },
  subscribers: {
    keys: [...subscriptionKeys, ...muxKeys, { ICE: 'force' }, { 'transport-protocol': 'RTP/AVPF' }],
    lines: ['a=rtcp-mux', 'a=mid:1', 'a=ptime:40', 'a=sendonly', 'a=recvonly', 'a=inactive'],
    ...{ sessionLines: ['a=x-sess'], sections: 2 },
  },
  words: {
    keys: spelledKeys,
    lines: [...audioLines, ...directionLines],
    ...{ sessionLines, sections: 2 },
  },
  fragments: {
    keys: [{ ICE: 'force' }, { ICE: 'remove' }, { flags: ['trickle-ICE'] }, ...muxKeys],
    lines: ['a=rtcp-mux', 'a=ice-options:trickle', 'a=mid:0'],
    ...{ sessionLines: ['a=ice-options:trickle'], sections: 1 },
  },
};

/** Phones have ports of their own there, and send. */
const realSubjects: ReadonlySet<Subject> = new Set([
  ...(['traffic', 'publications', 'ends', 'parties', 'subscribers'] as const),
]);

class Generator {
  readonly #words: Words;
  readonly #steps: PlanStep[] = [];
  readonly #random: Below;
  readonly #real: boolean;
  /** What the sections of the call are, whoever offers. */
  readonly #kinds: OfferedSection[] = [];
  /** What each phone speaks. */
  readonly #profiles = new Map<Party, Profile>();

  constructor(
    private readonly subject: Subject,
    seed: number,
  ) {
    this.#random = randomSource(seed);
    this.#words = words[subject];
    this.#real = realSubjects.has(subject);
  }

  #once(times: number): boolean {
    return this.#random(times) === 0;
  }

  #pick<T>(values: readonly T[]): T {
    return pickOf(values, this.#random);
  }

  #some<T>(values: readonly T[], most: number): readonly T[] {
    if (values.length === 0) return [];
    return [...new Set(Array.from({ length: this.#random(most + 1) }, () => this.#pick(values)))];
  }

  #keys(most: number): NgDictionary {
    const keys: Record<string, NgDictionary[string]> = {};
    if (this.subject === 'words') {
      const flags = this.#some(wordsOfFlags, 4);
      if (flags.length > 0) keys['rtpp-flags'] = flags.join(this.#once(6) ? '  ' : ' ');
    }
    for (const chosen of this.#some(this.#words.keys, most)) {
      for (const [name, value] of Object.entries(chosen)) {
        const former = keys[name];
        keys[name] =
          name === 'flags' && Array.isArray(former) && Array.isArray(value)
            ? [...former, ...value]
            : value;
      }
    }
    return keys;
  }

  #section(party: Party, at: number): OfferedSection {
    const base = { a: 6000, x: 7000, y: 8000, z: 9000 }[party];
    const port = this.#once(this.subject === 'sections' ? 6 : 20) ? 0 : base + 20 * at;
    const moved = this.#once(10) && port !== 0 ? port + 10 : port;
    const lines = this.#some(this.#words.lines, 3);
    if (this.subject === 'security' || this.subject === 'fragments')
      return this.#secured(party, moved, lines);
    const kinds: readonly OfferedSection[] = [
      { formats: this.#pick(['0 8 9 101', '8 0', '8 9 101', '0', '18 8 0 101']), lines: [events] },
      { type: 'video', formats: '96', lines: ['a=rtpmap:96 H264/90000'] },
      { formats: this.#pick(['96 0 101', '0 96']), lines: [events, ...opus] },
      ...(this.subject === 'sections' || this.subject === 'bodies'
        ? [
            { type: 'image', protocol: 'udptl', formats: 't38', lines: ['a=T38FaxVersion:0'] },
            { type: 'application', protocol: 'UDP/BFCP', formats: '*', lines: ['a=floorctrl:c-s'] },
            {
              type: 'application',
              protocol: 'UDP/DTLS/SCTP',
              formats: 'webrtc-datachannel',
              lines: ['a=sctp-port:5000', 'a=setup:actpass'],
            },
          ]
        : []),
    ];
    const chosen = at === 0 ? this.#pick([...kinds.slice(0, 1), ...kinds]) : this.#pick(kinds);
    const kind = this.#kinds[at] ?? chosen;
    this.#kinds[at] = kind;
    const isRtp = kind.protocol === undefined;
    const own = lines.filter((line) => isRtp || !/^a=(?:rtcp|rtpmap|fmtp|crypto)/.test(line));
    return { ...kind, port: moved, lines: [...(kind.lines ?? []), ...own] };
  }

  #secured(party: Party, port: number, lines: readonly string[]): OfferedSection {
    const known = this.#profiles.get(party) ?? this.#pick(profiles);
    this.#profiles.set(party, known);
    const { protocol, lines: own } = profileOf[known];
    const mux = this.#once(3) && known !== 'WebRTC' ? ['a=rtcp-mux'] : [];
    return { port, protocol, formats: '0 8', lines: [...own, ...mux, ...lines] };
  }

  #body(party: Party, former: OfferedBody | null): OfferedBody {
    const count = former?.media?.length ?? 1 + this.#random(this.#words.sections);
    const changes = former === null || this.#once(3);
    const added = this.subject === 'sections' && former !== null && this.#once(3) ? 1 : 0;
    const kept = former?.media ?? [];
    const media = Array.from({ length: count + added }, (_, at) => {
      const before = kept[at];
      if (before === undefined || former === null) return this.#section(party, at);
      if (!changes) return before;
      const again = this.#section(party, at);
      return { ...before, port: again.port ?? 0, lines: this.#changed(before) };
    });
    const mids = former === null && this.#once(4) ? media.map((_, at) => `a=mid:m${at}`) : [];
    const named = media.map((section, at) => ({
      ...section,
      lines: [...(section.lines ?? []), ...(mids[at] === undefined ? [] : [mids[at]])],
    }));
    return {
      ...{ version: 3 + this.#random(2), media: named },
      ...(this.#real ? { real: true } : {}),
      ...(this.#once(12) ? { address: '0.0.0.0' } : {}),
      sessionLines: [
        ...this.#some(this.#words.sessionLines, 1),
        ...(mids.length > 0 && this.#once(2) ? ['a=group:BUNDLE m0 m1'] : []),
      ],
    };
  }

  /** Another direction, and lines that come and go. */
  #changed(section: OfferedSection): readonly string[] {
    const held = directionLines as readonly string[];
    const lines = (section.lines ?? []).filter(
      (line) => meaning.test(line) || (!held.includes(line) && !this.#once(5)),
    );
    return this.#once(2) ? [...lines, this.#pick(held)] : lines;
  }

  #manner(): Manner {
    const setup = this.#pick(['active', 'passive', 'none'] as const);
    return {
      ...(this.#real ? { real: true } : {}),
      ...(this.#once(3) ? { formats: this.#pick(['first', 'but the first'] as const) } : {}),
      ...(this.#once(8) ? { refuses: [this.#random(2)] } : {}),
      ...(this.#once(8) ? { direction: this.#pick(directionLines) } : {}),
      ...(this.#once(2) ? { mux: true } : {}),
      ...(this.#once(2) ? { ice: true } : {}),
      ...(setup === 'none' ? {} : { setup }),
      ...(this.#once(8) ? { moves: true } : {}),
      ...(this.#once(12) ? { address: '0.0.0.0' } : {}),
      ...(this.#once(4) ? { lines: this.#some(this.#words.lines, 2) } : {}),
      ...(this.#once(4) ? { bundle: true } : {}),
    };
  }

  #add(step: PlanStep): void {
    this.#steps.push(step);
  }

  readonly #bodies = new Map<Party, OfferedBody>();

  /** One offers and, most often, is answered. */
  #exchange(from: Party, to: Party, tags: NgDictionary, answerTags: NgDictionary): void {
    const body = this.#body(from, this.#bodies.get(from) ?? null);
    this.#bodies.set(from, body);
    this.#add({ do: 'offer', from, to, keys: { ...tags, ...this.#keys(3) }, body });
    if (this.#once(30)) return;
    const { 'transport-protocol': _, ...keys } = this.#keys(this.#random(2));
    this.#add({
      ...{ do: 'answer', from: to, to: from },
      keys: { ...answerTags, ...keys },
      manner: this.#manner(),
    });
  }

  #dialogue(): void {
    this.#exchange('a', 'x', { 'from-tag': 'a' }, { 'from-tag': 'a', 'to-tag': 'x' });
    for (let left = this.#random(4); left > 0; left -= 1) this.#again();
  }

  #again(): void {
    const [ours, theirs] = [
      { 'from-tag': 'a', 'to-tag': 'x' },
      { 'from-tag': 'x', 'to-tag': 'a' },
    ];
    if (this.#once(2)) this.#exchange('a', 'x', ours, ours);
    else this.#exchange('x', 'a', theirs, theirs);
  }

  #aside(): void {
    if (this.#once(4)) return this.#add({ do: 'query' });
    this.#add({ do: this.#pick(selectingCommands), keys: this.#pick(selectionKeys) });
  }

  #branches(): void {
    const branch = (name: string): NgDictionary => ({ 'via-branch': name });
    const first = this.#once(5) ? {} : branch('b1');
    const answers = (party: Party, keys: NgDictionary): void => {
      const tags = { 'from-tag': 'a', 'to-tag': party };
      this.#exchange('a', party, { 'from-tag': 'a', ...keys }, { ...tags, ...keys });
    };
    answers('x', first);
    answers('y', branch('b2'));
    for (let left = this.#random(5); left > 0; left -= 1) {
      const party = this.#pick(['x', 'y'] as const);
      const tags = { 'from-tag': 'a', 'to-tag': party };
      if (this.#once(4)) this.#add({ do: 'delete', keys: this.#pick(deleteKeys) });
      else if (this.#once(4))
        this.#add({ do: 'query', keys: this.#pick(selectionKeys.slice(0, 3)) });
      else if (this.#once(2)) this.#exchange('a', party, tags, tags);
      else {
        const back = { 'from-tag': party, 'to-tag': 'a' };
        this.#exchange(party, 'a', back, back);
      }
    }
  }

  #publications(): void {
    const published = this.#once(2);
    if (published) {
      const section = { formats: '0 8 101', port: 6000, lines: [events, 'a=sendonly'] };
      const body = { real: true, media: [section] };
      this.#add({ do: 'publish', to: 'a', keys: { 'from-tag': 'a', ...this.#keys(2) }, body });
    } else {
      this.#exchange('a', 'x', { 'from-tag': 'a', label: 'L' }, { 'from-tag': 'a', 'to-tag': 'x' });
    }
    for (let left = 1 + this.#random(4); left > 0; left -= 1) {
      const to = this.#pick(['y', 'z'] as const);
      const source = this.#pick([
        ...[{ 'from-tag': 'a' }, { 'from-tag': 'a' }, { label: 'L' }, { 'from-tags': ['a', 'q'] }],
        ...[{ 'from-tag': 'x' }, { 'from-tag': 'q' }, { 'from-tags': ['a'] }],
      ]);
      if (this.#once(6)) this.#add({ do: 'unsubscribe', keys: { 'to-tag': to } });
      else {
        const keys = { ...this.#keys(1), ...source, 'to-tag': to };
        this.#add({ do: 'subscribe request', to, keys });
        if (!this.#once(5)) {
          const manner = { ...this.#manner(), refuses: [] };
          this.#add({ do: 'subscribe answer', from: to, keys: { 'to-tag': to }, manner });
        }
      }
      if (this.#once(2)) this.#add({ do: 'RTP', from: 'a' });
      if (this.#once(4)) this.#add({ do: 'query' });
    }
  }

  #traffic(): void {
    this.#exchange('a', 'x', { 'from-tag': 'a', label: 'L' }, { 'from-tag': 'a', 'to-tag': 'x' });
    for (let left = 2 + this.#random(4); left > 0; left -= 1) {
      if (this.#once(3)) this.#again();
      else if (this.#once(3)) this.#aside();
      for (const from of ['a', 'x'] as const)
        this.#add({ do: this.#once(4) ? 'RTCP' : 'RTP', from });
    }
  }

  /** Calls that end at once, later, in part, and go on all the same. */
  #ends(): void {
    if (this.#once(3)) this.#branches();
    else this.#dialogue();
    for (let left = 1 + this.#random(4); left > 0; left -= 1) {
      const delay = this.#pick([0, 1, 1, 1, 30, 'none'] as const);
      const { 'delete-delay': _, ...whom } = this.#pick(deleteKeys);
      this.#add({
        do: 'delete',
        keys: { ...whom, ...(delay === 'none' ? {} : this.#delay(delay)) },
      });
      if (this.#once(2)) this.#add({ do: 'RTP', from: this.#pick(['a', 'x'] as const) });
      if (this.#once(3)) this.#add({ do: 'query', keys: this.#pick(selectionKeys.slice(0, 3)) });
      if (this.#once(3)) this.#again();
      if (this.#once(3)) this.#add({ do: 'pause' });
    }
  }

  /** As scripts spell it, and as Kamailio sends it: once as a number, once as text. */
  #delay(seconds: number): NgDictionary {
    if (this.#once(2)) return { 'delete-delay': seconds };
    const text = String(seconds);
    return this.#pick<NgDictionary>([
      { 'delete-delay': text },
      { 'delete delay': seconds },
      { 'delete delay': seconds, 'delete-delay': text },
    ]);
  }

  /** Whom a command concerns, by tags, labels and addresses that may not fit each other. */
  #parties(): void {
    const branch = this.#once(3) ? { 'via-branch': 'b1' } : {};
    const tags = { 'from-tag': 'a', ...branch };
    this.#exchange('a', 'x', { ...tags, label: 'L' }, { ...tags, 'to-tag': 'x', label: 'M' });
    if (this.#once(4)) {
      const other = { 'from-tag': 'a', 'via-branch': 'b2' };
      this.#exchange('a', 'y', other, { ...other, 'to-tag': 'y', label: 'N' });
    }
    for (let left = 2 + this.#random(5); left > 0; left -= 1) {
      const keys = { ...this.#pick(selectionKeys), ...this.#pick(removalKeys) };
      this.#add({ do: this.#pick(selectingCommands), keys });
      if (this.#once(5)) this.#again();
      if (this.#once(6)) this.#add({ do: 'query', keys: this.#pick(removalKeys) });
      for (const from of ['a', 'x'] as const)
        if (!this.#once(4)) this.#add({ do: this.#once(5) ? 'RTCP' : 'RTP', from });
    }
  }

  /** Who hears whom, in every way of saying so. */
  #subscribers(): void {
    this.#exchange('a', 'x', { 'from-tag': 'a', label: 'L' }, { 'from-tag': 'a', 'to-tag': 'x' });
    for (let left = 1 + this.#random(4); left > 0; left -= 1) {
      const to = this.#pick(['y', 'z'] as const);
      const keys = { ...this.#keys(2), 'to-tag': to };
      this.#add({ do: 'subscribe request', to, keys });
      if (!this.#once(4)) {
        const manner = { ...this.#manner(), refuses: this.#once(8) ? [0] : [] };
        this.#add({ do: 'subscribe answer', from: to, keys: { 'to-tag': to }, manner });
      }
      if (this.#once(5)) this.#again();
      if (this.#once(6)) this.#add({ do: 'unsubscribe', keys: { 'to-tag': to } });
      if (this.#once(6))
        this.#add({ do: this.#pick(selectingCommands), keys: { 'from-tag': 'a' } });
      this.#add({ do: 'RTP', from: this.#pick(['a', 'x'] as const) });
    }
  }

  /** Candidates that come by themselves, as Kamailio passes them on. */
  #fragments(): void {
    this.#profiles.set('a', 'ICE').set('x', this.#pick(['ICE', 'ICE', 'plain'] as const));
    this.#exchange('a', 'x', { 'from-tag': 'a' }, { 'from-tag': 'a', 'to-tag': 'x' });
    for (let left = 1 + this.#random(4); left > 0; left -= 1) {
      if (this.#once(4)) this.#again();
      const body = this.#pick(fragments);
      this.#add({ do: 'offer', keys: { ...this.#pick(fragmentKeys), flags: ['fragment'] }, body });
      if (this.#once(3)) this.#add({ do: 'query' });
    }
  }

  plan(): Plan {
    switch (this.subject) {
      case 'ends':
        this.#ends();
        break;
      case 'parties':
        this.#parties();
        break;
      case 'subscribers':
        this.#subscribers();
        break;
      case 'fragments':
        this.#fragments();
        break;
      case 'branches':
        this.#branches();
        break;
      case 'publications':
        this.#publications();
        break;
      case 'traffic':
        this.#traffic();
        break;
      default:
        this.#dialogue();
        if (this.#once(4)) this.#aside();
    }
    if (this.#once(6)) this.#add({ do: 'delete', keys: this.#pick(deleteKeys) });
    return { steps: [...this.#steps, { do: 'query' }] };
  }
}

export function randomPlan(subject: Subject, seed: number): Plan {
  return new Generator(subject, seed).plan();
}
