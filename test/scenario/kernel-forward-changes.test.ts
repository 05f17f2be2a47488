/**
 * Calls that change while the kernel forwards them. Each scenario runs with the relay in userspace, too,
 * and must come out the same: nothing lost, nothing misdirected from the moment a change is acknowledged.
 */
import { expect } from 'chai';
import {
  expectWhole,
  KernelRig,
  phoneAddress6,
  relayAddress,
  relayAddress6,
  RigCall,
  secondRelayAddress,
  type CallOptions,
  type RigMode,
} from '../support/kernel-rig.js';
import type { MediaSection } from '../support/sdp.js';
import { obstacleToKernelForwarding } from '../support/kernel-forwarding.js';
import { pause, until } from '../support/wait.js';

const interfaces = [
  `priv/${relayAddress}`,
  `priv/${relayAddress6}`,
  `pub/${secondRelayAddress}`,
] as const;

for (const mode of ['none', 'tc', 'xdp-generic'] as const satisfies readonly RigMode[]) {
  describe(`calls that change, kernel forwarding ${mode}`, function () {
    this.timeout(90_000);
    const kernel = mode !== 'none';
    let rig: KernelRig;
    let next = 0;

    before(async function () {
      if (obstacleToKernelForwarding() !== null) this.skip();
      rig = new KernelRig();
      await rig.start();
      await rig.startRelay({ mode, interfaces });
    });
    after(async () => {
      await rig?.remove();
    });

    const newCall = (options: CallOptions = {}): RigCall =>
      new RigCall(rig, `call${mode}${(next += 1)}.`, options);
    /** Talking, and in the kernel if that is to be had. */
    async function settled(options: CallOptions = {}, flows = 2): Promise<RigCall> {
      const call = await newCall(options).begin();
      await back(call, flows);
      return call;
    }
    /** Some packets, the last of them by way of the kernel. */
    async function back(call: RigCall, flows = 2): Promise<void> {
      if (kernel) await call.inKernel(flows);
      await rig.phones.some();
    }

    it('a re-INVITE moves the callee: from the reply on nothing goes to the old place', async () => {
      const call = await settled();
      await rig.phones.hush(call.back);
      const [address, port] = ['10.0.0.2', rig.nextPort()];
      await call.open('b', `${call.id}b2`, { address, port });
      const sent = await call.offer('b', call.sdp('b', [], { address, port }));
      await call.answer('a', call.sdp('a'));
      await call.talk('b', `${call.id}b2`);
      await rig.phones.some();
      // Until now to the ports that the caller had been told before.
      await call.talk('a');
      await back(call);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`, `${call.id}b2`);
      expect(report.forth.places[`${call.id}b`]?.last).to.be.at.most(sent[call.forth] ?? 0);
      expectWhole(report.back, `${call.id}a`);
    });

    it('a caller that sends from the old place after its re-INVITE is heard, and stays there', async () => {
      const call = await settled();
      const port = rig.nextPort();
      await call.open('a', `${call.id}a2`, { port });
      await call.offer('a', call.sdp('a', [], { port }));
      await rig.phones.some();
      await call.answer('b', call.sdp('b'));
      // The end of the learning; a flow that was kept while it went on delays that.
      await rig.phones.some(kernel ? 225 : 40);
      await call.talk('a', `${call.id}a2`);
      await call.talk('b');
      await back(call);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      // With immediate learning the first source counts; until it has sent, and the kernel has been told
      // of it, what is signalled does.
      expect(report.back.lost).to.deep.equal([]);
      expect(report.back.places[`${call.id}a`]?.last).to.equal(report.back.sent);
      const toSignalled = report.back.places[`${call.id}a2`]?.count ?? 0;
      expect(toSignalled / report.back.sent).to.be.at.most(0.2);
    });

    for (const who of ['a', 'b'] as const) {
      it(`signalling by ${who} that changes nothing loses nothing, and the kernel goes on`, async () => {
        const [call, partner] = [await settled(), who === 'a' ? 'b' : 'a'] as const;
        await call.offer(who, call.sdp(who));
        await back(call);
        await call.answer(partner, call.sdp(partner));
        await back(call);
        await call.answer(partner, call.sdp(partner));
        await back(call);
        const report = await call.hush();
        expectWhole(report.forth, `${call.id}b`);
        expectWhole(report.back, `${call.id}a`);
      });
    }

    it('a new binding is followed after an offer that changes nothing, with strict-source', async () => {
      const call = await settled({ flags: ['strict-source'] });
      await call.open('b', `${call.id}b2`, { port: rig.nextPort() });
      await rig.phones.hush(call.back);
      await call.offer('a', call.sdp('a'));
      await call.talk('b', `${call.id}b2`);
      await rig.phones.some();
      const moved = await rig.phones.marks();
      await back(call);
      const report = await call.hush();
      expectWhole(report.back, `${call.id}a`);
      expectWhole(report.forth, `${call.id}b`, `${call.id}b2`);
      expect(report.forth.places[`${call.id}b`]?.last).to.be.at.most(moved[call.forth] ?? 0);
    });

    it('a stranger that sends all the time does not get a stream with media-handover', async () => {
      const call = await settled({ flags: ['media-handover'] });
      const stranger = { address: '10.0.0.3', port: rig.nextPort() };
      await rig.phones.open(`${call.id}z`, stranger);
      const label = `${call.id}stranger`;
      await rig.phones.talk(label, `${call.id}z`, call.targets.b);
      await pause(1500);
      await rig.phones.hush(label);
      await back(call);
      const report = await call.hush();
      expectWhole(report.back, `${call.id}a`);
      expect([...report.forth.lost, report.forth.duplicates]).to.deep.equal([0]);
      const taken = report.forth.places[`${call.id}z`]?.count ?? 0;
      expect(taken / report.forth.sent).to.be.at.most(0.04);
    });

    for (const direction of ['sendonly', 'inactive']) {
      it(`hold by a=${direction}: quiet from its answer on, as before from the offer that resumes`, async () => {
        const call = await settled();
        const reverse = direction === 'sendonly' ? 'recvonly' : 'inactive';
        const quiet = direction === 'sendonly' ? ['back'] : ['forth', 'back'];
        await call.offer('a', call.sdp('a', [`a=${direction}`]));
        await rig.phones.some();
        const offered = await rig.phones.arrived(call.id);
        const held = await call.answer('b', call.sdp('b', [`a=${reverse}`]));
        await rig.phones.some();
        const resumed = await rig.phones.marks();
        await rig.phones.some();
        const sent = await call.offer('a', call.sdp('a'));
        await back(call);
        await call.answer('b', call.sdp('b'));
        await back(call);
        const report = await call.hush();
        for (const [way, label, place] of [
          ['forth', call.forth, `${call.id}b`],
          ['back', call.back, `${call.id}a`],
        ] as const) {
          if (!quiet.includes(way)) {
            expectWhole(report[way], place);
            continue;
          }
          const { lost } = report[way];
          // Until it is answered nothing is taken away: it may be refused.
          expect(lost[0]).to.be.greaterThan(offered[label] ?? 0);
          expect(lost[0]).to.be.at.most((held[label] ?? 0) + 1);
          expect(lost).to.include(resumed[label] ?? 0);
          expect(lost.at(-1)).to.be.at.most(sent[label] ?? 0);
        }
      });
    }

    it('hold by a zero address: the held party hears nothing from its answer on until it resumes', async () => {
      const call = await settled();
      await call.offer('a', call.sdp('a', [], { address: '0.0.0.0' }));
      await rig.phones.some();
      const offered = await rig.phones.arrived(call.id);
      const held = await call.answer('b', call.sdp('b'));
      await rig.phones.some();
      const quiet = (await rig.phones.report()).streams[call.back]?.places[`${call.id}a`];
      // Until it is answered nothing is taken away: it may be refused.
      expect(quiet?.last).to.be.at.least(offered[call.back] ?? 0);
      expect(quiet?.last).to.be.at.most(held[call.back] ?? 0);
      const resumed = await rig.phones.marks();
      await rig.phones.some();
      await call.offer('a', call.sdp('a'));
      const sent = await call.answer('b', call.sdp('b'));
      await back(call);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      const lost = report.back.lost;
      expect(lost[0]).to.be.greaterThan(offered[call.back] ?? 0);
      expect(lost[0]).to.be.at.most((held[call.back] ?? 0) + 1);
      expect(lost.at(-1)).to.be.at.most(sent[call.back] ?? 0);
      expect(lost).to.include(resumed[call.back] ?? 0);
    });

    it('media with port 0 ends, and begins again', async () => {
      const call = await settled();
      await call.offer('b', call.sdp('b', [], { port: 0 }));
      const refused = await call.answer('a', call.sdp('a', [], { port: 0 }));
      await rig.phones.some();
      if (kernel) expect(await call.flows()).to.deep.equal([]);
      const before = await rig.phones.marks();
      await rig.phones.some();
      const report = (await rig.phones.report()).streams;
      for (const label of [call.forth, call.back]) {
        const last = Object.values(report[label]?.places ?? {}).map((place) => place.last);
        expect(Math.max(...last)).to.be.at.most(refused[label] ?? 0);
      }
      await call.offer('b', call.sdp('b'));
      const sent = await call.answer('a', call.sdp('a'));
      await call.talk('a');
      await call.talk('b');
      await back(call);
      const { forth, back: other } = await call.hush();
      for (const stream of [forth, other]) {
        expect(stream.duplicates).to.equal(0);
        expect(stream.lost.length).to.be.greaterThan(0);
      }
      expect(forth.lost.at(-1)).to.be.at.most((sent[call.forth] ?? 0) + 1);
      expect(forth.lost).to.include(before[call.forth] ?? 0);
    });

    it('a source that moves is followed with media-handover', async () => {
      const call = await settled({ flags: ['media-handover'] });
      await call.open('b', `${call.id}b2`, { port: rig.nextPort() });
      await call.talk('b', `${call.id}b2`);
      await rig.phones.some();
      const moved = await rig.phones.marks();
      await back(call);
      const report = await call.hush();
      expectWhole(report.back, `${call.id}a`);
      expectWhole(report.forth, `${call.id}b`, `${call.id}b2`);
      expect(report.forth.places[`${call.id}b`]?.last).to.be.at.most(moved[call.forth] ?? 0);
    });

    it('two sources that take turns with media-handover are both heard', async () => {
      const call = await settled({ flags: ['media-handover'] });
      await call.open('b', `${call.id}b2`, { port: rig.nextPort() });
      for (let turn = 0; turn < 8; turn++) {
        await call.talk('b', `${call.id}b${turn % 2 === 0 ? '2' : ''}`);
        await pause(turn < 4 ? 60 : 25);
      }
      await back(call);
      const report = await call.hush();
      expectWhole(report.back, `${call.id}a`);
      expectWhole(report.forth, `${call.id}b`, `${call.id}b2`);
    });

    it('a source that moves without media-handover is heard and not followed', async () => {
      const call = await settled();
      await call.open('b', `${call.id}b2`, { port: rig.nextPort() });
      await call.talk('b', `${call.id}b2`);
      await rig.phones.some(16);
      await call.talk('b');
      await back(call);
      const report = await call.hush();
      expectWhole(report.back, `${call.id}a`);
      expectWhole(report.forth, `${call.id}b`);
    });

    it('strict-source: another source is not heard, the learned one still is', async () => {
      const call = await settled({ flags: ['strict-source'] });
      await call.open('b', `${call.id}b2`, { port: rig.nextPort() });
      await call.talk('b', `${call.id}b2`);
      await rig.phones.some(16);
      await call.talk('b');
      await rig.phones.some(16);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      const { lost } = report.back;
      expect(lost.length).to.be.greaterThan(5);
      expect((lost.at(-1) ?? 0) - (lost[0] ?? 0) + 1, 'lost in one piece').to.equal(lost.length);
      expect(report.back.places[`${call.id}a`]?.last).to.equal(report.back.sent);
    });

    const ofA = { 'from-tag': 'tag-a' };

    it('block media: from the reply on one party is not heard, until it is unblocked', async () => {
      const call = await settled();
      const heard = await rig.phones.arrived(call.id);
      const blocked = await call.ask('block media', ofA);
      expect(blocked.reply['result']).to.equal('ok');
      await rig.phones.some();
      if (kernel) expect(await call.flows()).to.have.lengthOf(1);
      const quiet = call.reportIn(await rig.phones.report()).forth.places[`${call.id}b`];
      expect(quiet?.last).to.be.at.most(blocked.sent[call.forth] ?? 0);
      const { sent } = await call.ask('unblock media', ofA);
      await back(call);
      const report = await call.hush();
      expectWhole(report.back, `${call.id}a`);
      const { lost } = report.forth;
      expect(report.forth.duplicates).to.equal(0);
      expect(lost.length).to.be.greaterThan(5);
      expect(lost[0]).to.be.greaterThan(heard[call.forth] ?? 0);
      expect(lost.at(-1)).to.be.at.most(sent[call.forth] ?? 0);
    });

    it('silence media: from the reply on a party is silent, and nothing is lost', async () => {
      const call = await settled();
      const silenced = await call.ask('silence media', ofA);
      await rig.phones.some();
      if (kernel) expect(await call.flows()).to.have.lengthOf(1);
      const heard = call.reportIn(await rig.phones.report()).forth.places[`${call.id}b`];
      expect(heard?.last).to.be.at.most(silenced.sent[call.forth] ?? 0);
      const { sent } = await call.ask('unsilence media', ofA);
      await back(call);
      const report = await call.hush();
      expectWhole(report.back, `${call.id}a`);
      expectWhole(report.forth, `${call.id}b`, `${call.id}b silent`);
      const silent = report.forth.places[`${call.id}b silent`];
      expect(silent?.count).to.be.greaterThan(5);
      expect(silent?.last).to.be.at.most(sent[call.forth] ?? 0);
    });

    it('block DTMF: no digit is heard, and the sound stays in the kernel', async () => {
      const media = (port: number): readonly MediaSection[] => [
        { port, formats: '8 101', lines: ['a=rtpmap:101 telephone-event/8000'] },
      ];
      const call = await settled({ media });
      const digits = `${call.id}dtmf`;
      await rig.phones.talk(digits, `${call.id}a`, call.targets.a, 'dtmf');
      await rig.phones.some();
      const heard = await rig.phones.arrived(call.id);
      const blocked = await call.ask('block DTMF', ofA);
      const before = kernel ? await call.flows() : [];
      await rig.phones.some();
      if (kernel) {
        const now = await call.flows();
        expect(now).to.have.lengthOf(2);
        now.forEach(({ packets }, at) => {
          expect(packets).to.be.greaterThan((before[at]?.packets ?? 0) + 3);
        });
      }
      const place = (await rig.phones.report()).streams[digits]?.places[`${call.id}b`];
      expect(place?.last).to.be.at.most(blocked.sent[digits] ?? 0);
      const { sent } = await call.ask('unblock DTMF', ofA);
      await back(call);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
      const dtmf = (await rig.phones.report()).streams[digits];
      expect(dtmf?.lost.length).to.be.greaterThan(2);
      expect(dtmf?.lost[0]).to.be.greaterThan(heard[digits] ?? 0);
      expect(dtmf?.lost.at(-1)).to.be.at.most(sent[digits] ?? 0);
    });

    it('delete: from the reply on nothing is forwarded', async () => {
      const call = await settled();
      const { sent, reply } = await call.ask('delete', { 'from-tag': 'tag-a' });
      expect(reply['result']).to.equal('ok');
      await rig.phones.some();
      if (kernel) expect(await call.flows()).to.deep.equal([]);
      const report = await call.hush();
      for (const stream of [report.forth, report.back]) {
        const [place] = Object.values(stream.places);
        expect(place?.last).to.be.at.most(
          sent[stream === report.forth ? call.forth : call.back] ?? 0,
        );
        // What arrived before it did so whole.
        expect(stream.lost[0] ?? 0).to.be.greaterThan(place?.last ?? 0);
      }
    });

    it('delete with a delay: all is forwarded until then, and nothing afterwards', async () => {
      const call = await settled();
      await call.ask('delete', { 'from-tag': 'tag-a', 'delete-delay': 3 });
      await rig.phones.some(16);
      await rig.phones.arrived(call.id);
      await until(async () => (await call.ask('query')).reply['result'] === 'error', 'its end');
      const gone = await rig.phones.marks();
      if (kernel) expect(await call.flows()).to.deep.equal([]);
      await rig.phones.some();
      const report = await call.hush();
      expect(report.forth.places[`${call.id}b`]?.last).to.be.at.most(gone[call.forth] ?? 0);
      expect(report.back.places[`${call.id}a`]?.last).to.be.at.most(gone[call.back] ?? 0);
    });

    it('an offer during the delay keeps the call, and the kernel forwards on', async () => {
      const call = await settled();
      await call.ask('delete', { 'from-tag': 'tag-a', 'delete-delay': 3 });
      await call.offer('a', call.sdp('a'));
      await call.answer('b', call.sdp('b'));
      await pause(3500);
      await back(call);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('IPv6', async () => {
      const call = await settled({ addresses: [phoneAddress6, phoneAddress6] });
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('IPv4 to IPv6, which stays in userspace', async () => {
      const addresses = ['10.0.0.1', phoneAddress6] as const;
      const call = await settled({ addresses, offer: { 'address family': 'IP6' } }, 0);
      await rig.phones.some();
      expect(kernel ? await call.flows() : []).to.deep.equal([]);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('T.38', async () => {
      const image = (port: number): readonly MediaSection[] => [
        { type: 'image', port, protocol: 'udptl', formats: 't38' },
      ];
      const call = await settled({ media: image, kind: 'raw' });
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('a call that goes over from audio to T.38', async () => {
      const call = await settled();
      const image = (side: 'a' | 'b'): string =>
        call.sdp(side).replace(/^m=audio (\d+) RTP\/AVP 8/m, 'm=image $1 udptl t38');
      await call.offer('b', image('b'));
      await call.answer('a', image('a'));
      await rig.phones.talk(call.forth, `${call.id}a`, call.targets.a, 'raw');
      await rig.phones.talk(call.back, `${call.id}b`, call.targets.b, 'raw');
      await back(call);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('RTP and RTCP on one port', async () => {
      const media = (port: number): readonly MediaSection[] => [
        { port, formats: '8', lines: ['a=rtcp-mux'] },
      ];
      const call = await settled({ media, offer: { 'rtcp-mux': ['offer'] } });
      for (const [side, partner] of ['ab', 'ba']) {
        const label = `${call.id}rtcp${side}`;
        const target = call.targets[side === 'a' ? 'a' : 'b'];
        await rig.phones.talk(label, `${call.id}${side}`, target, 'rtcp');
        await rig.phones.some();
        await rig.phones.hush(label);
        const stream = (await rig.phones.settledReport(label)).streams[label];
        if (stream === undefined) throw new Error('no RTCP');
        expectWhole(stream, `${call.id}${partner}`);
      }
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('DTLS and STUN of ends that secure their media themselves, which stay in the kernel', async () => {
      const lines = [
        ...[
          'a=rtcp-mux',
          'a=setup:actpass',
          'a=ice-ufrag:ends',
          'a=ice-pwd:endsendsendsendsendsends',
        ],
        `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
      ];
      const media = (port: number): readonly MediaSection[] => [
        { port, formats: '8', protocol: 'UDP/TLS/RTP/SAVPF', lines },
      ];
      const call = await settled({ media, offer: { passthrough: 'on' } });
      expect(call.bodies.b).to.contain(lines.at(-1));
      for (const kind of ['dtls', 'stun'] as const)
        for (const [side, partner] of [
          ['a', 'b'],
          ['b', 'a'],
        ] as const) {
          const label = `${call.id}${kind}${side}`;
          await rig.phones.talk(label, `${call.id}${side}`, call.targets[side], kind);
          await rig.phones.some();
          await rig.phones.hush(label);
          const stream = (await rig.phones.settledReport(label)).streams[label];
          if (stream === undefined) throw new Error(`no ${kind}`);
          expectWhole(stream, `${call.id}${partner}`);
          await back(call);
        }
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('audio and video; a re-INVITE that ends the video leaves the audio alone', async () => {
      const sections = (port: number): readonly MediaSection[] => [
        { port, formats: '8' },
        { type: 'video', port: port === 0 ? 0 : port + 400, formats: '96' },
      ];
      const call = await settled({ media: sections });
      const video = new RigCall(rig, `video${call.id}`);
      for (const side of ['a', 'b'] as const) {
        video.bodies[side] = call.bodies[side];
        video.addresses[side] = call.addresses[side];
        video.ports[side] = call.ports[side] + 400;
        const port = /^m=video (\d+)/m.exec(call.bodies[side])?.[1];
        Object.assign(video.targets[side], { ...call.targets[side], port: Number(port) });
        await video.open(side);
      }
      await video.talk('a');
      await video.talk('b');
      await back(call, 4);
      const both = await video.hush();
      expectWhole(both.forth, `${video.id}b`);
      expectWhole(both.back, `${video.id}a`);
      const ended = (side: 'a' | 'b'): string => call.sdp(side).replace(/m=video \d+/, 'm=video 0');
      await call.offer('a', ended('a'));
      await call.answer('b', ended('b'));
      await back(call, 2);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('two interfaces on two devices', async () => {
      const addresses = ['10.0.0.1', '10.0.1.1'] as const;
      const call = await settled({ addresses, offer: { direction: ['priv', 'pub'] } });
      expect(call.targets.a.address).to.equal(relayAddress);
      expect(call.targets.b.address).to.equal(secondRelayAddress);
      const report = await call.hush();
      expectWhole(report.forth, `${call.id}b`);
      expectWhole(report.back, `${call.id}a`);
    });

    it('two calls in a row through the same relay', async () => {
      const [first, second] = [newCall(), newCall()];
      await second.offer('a', second.sdp('a'));
      // The first call's callee is the second call's caller: each sends to the other's ports.
      await first.offer('a', first.sdp('a'));
      await first.answer('b', second.bodies.b.replace(/^a=rtcp:.*\r\n/m, ''));
      await second.ask('delete', { 'delete-delay': 0 });
      await second.offer('a', first.bodies.b);
      await second.answer('b', second.sdp('b'));
      await first.offer('b', second.bodies.a);
      await first.answer('a', first.sdp('a'));
      await first.open('a');
      await second.open('b');
      await first.talk('a');
      await second.talk('b');
      await rig.phones.some(32);
      await rig.phones.hush(first.id);
      await rig.phones.hush(second.id);
      const { streams } = await rig.phones.settledReport();
      for (const [label, place] of [
        [first.forth, `${second.id}b`],
        [second.back, `${first.id}a`],
      ] as const) {
        const stream = streams[label];
        if (stream === undefined) throw new Error(`no ${label}`);
        expectWhole(stream, place);
      }
    });

    it('counts every packet once, whichever way it went', async () => {
      const call = await settled();
      const numbers = async (
        command: string,
      ): Promise<readonly { readonly packets: number; readonly last: number }[]> => {
        const { reply } = await call.ask(command, { 'from-tag': 'tag-a' });
        const tags = Object.values(reply['tags'] as Record<string, { medias: readonly Media[] }>);
        return tags.map(({ medias }) => {
          const stream = medias[0]?.streams[0];
          return { packets: stream?.stats.packets ?? 0, last: stream?.['last packet'] ?? 0 };
        });
      };
      const begun = await numbers('query');
      await rig.phones.some(55);
      const later = await numbers('query');
      later.forEach(({ packets, last }, at) => {
        expect(packets).to.be.greaterThan(begun[at]?.packets ?? 0);
        expect(last).to.be.greaterThan(begun[at]?.last ?? 0);
      });
      // Out of the kernel and into it again.
      await call.offer('a', call.sdp('a', [], { port: rig.nextPort() }));
      await call.answer('b', call.sdp('b'));
      await call.talk('a');
      await call.talk('b');
      await back(call);
      const report = await call.hush();
      const final = await numbers('delete');
      expect(final.map(({ packets }) => packets)).to.have.members([
        report.forth.sent,
        report.back.sent,
      ]);
    });

    it('media timeout: a silent call ends, a living one does not', async () => {
      const [silent, living] = [await settled(), await settled()];
      await silent.hush();
      await rig.phones.command(rig.cli(), 'set timeout 2');
      try {
        const ends = async (call: RigCall): Promise<boolean> =>
          (await call.ask('query')).reply['result'] === 'error';
        await until(() => ends(silent), 'the end of the silent call');
        await pause(1500);
        expect(await ends(living), 'the living call has ended').to.equal(false);
      } finally {
        await rig.phones.command(rig.cli(), 'set timeout 60');
      }
      const report = await living.hush();
      expectWhole(report.forth, `${living.id}b`);
      expectWhole(report.back, `${living.id}a`);
    });

    it('no packet was anybody else’s, and no flow is left of the calls', async () => {
      const { strange } = await rig.phones.settledReport();
      expect(strange).to.equal(0);
      await until(async () => {
        const { reply } = await rig.phones.ng(rig.ng(), { command: 'list', limit: 1000 });
        const calls = reply['calls'] as readonly string[];
        for (const id of calls) {
          const keys = { command: 'delete', 'call-id': id, 'delete-delay': 0 };
          await rig.phones.ng(rig.ng(), keys);
        }
        return calls.length === 0;
      }, 'the end of all calls');
      expect(kernel ? await rig.flows() : []).to.deep.equal([]);
    });
  });
}

interface Media {
  readonly streams: readonly {
    readonly stats: { readonly packets: number };
    readonly 'last packet': number;
  }[];
}
