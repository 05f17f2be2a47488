import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { loadConfig } from '../../../src/config/config.js';
import { options } from '../../../src/config/options.js';
import { configError, configOf, files, minimal } from '../../support/unit/config.js';

function refusal(
  argv: readonly string[],
  texts: Readonly<Record<string, string>> = {},
): { readonly message: string; readonly option: string | null } {
  return configError(() => configOf(argv, texts));
}

const debianFile = '/etc/rtpengine/rtpengine.conf';

describe('configuration', () => {
  it('takes a command line that production systems use', () => {
    const argv = (
      '--interface=10.10.0.142 --listen-ng=10.10.0.142:2223 --tos=184 ' +
      '--redis 10.10.0.144:6379/0 --pidfile=/var/run/rtpengine01.pid'
    ).split(' ');
    const config = configOf(argv);
    expect(config.control.listenNg).to.deep.equal([{ host: '10.10.0.142', port: 2223 }]);
    expect(config.media.interfaces.interfaces[0]?.source).to.deep.equal({
      kind: 'address',
      address: '10.10.0.142',
    });
    expect(config.media.tos).to.equal(184);
    expect(config.redis?.read).to.deep.equal({
      locations: [{ host: '10.10.0.144', port: 6379 }],
      database: 0,
      password: null,
    });
    expect(config.redis?.write).to.equal(config.redis?.read);
    expect(config.pidfile).to.equal('/var/run/rtpengine01.pid');
    expect(config.foreground).to.equal(false);
    expect(config.warnings).to.deep.equal([]);
  });

  it("has rtpengine's defaults", () => {
    const config = configOf(minimal);
    expect(config.limits).to.deep.equal({
      timeoutSeconds: 60,
      silentTimeoutSeconds: 3600,
      finalTimeoutSeconds: 0,
      offerTimeoutSeconds: 3600,
      deleteDelaySeconds: 30,
      drainTimeoutSeconds: 0,
      maxSessions: -1,
      maxLoad: 0,
      maxCpuPercent: 0,
      maxBandwidthBytesPerSecond: 0,
    });
    expect([config.media.portMin, config.media.portMax]).to.deep.equal([30000, 39999]);
    expect(config.media.endpointLearning).to.equal('heuristic');
    expect(config.media.numThreads).to.equal(4);
    expect(config.redis).to.equal(null);
    expect(config.log.levels.get('core')).to.equal(6);
    expect(config.log.levels.get('internals')).to.equal(-1);
    expect(config.log.maxLineLength).to.equal(500);
    expect(configOf([...minimal, '-E']).log.maxLineLength).to.equal(0);
  });

  it('is frozen', () => {
    const config = configOf(minimal);
    expect(() => Object.assign(config.media, { tos: 1 })).to.throw(TypeError);
    expect(() => Object.assign(config.control.listenNg, { 0: null })).to.throw(TypeError);
  });

  it('starts with the file that Debian installs', function () {
    if (!existsSync(debianFile)) this.skip();
    const config = configOf([], { [debianFile]: readFileSync(debianFile, 'utf8') });
    expect(config.control.listenNg).to.deep.equal([{ host: 'localhost', port: 2223 }]);
    expect(config.media.tos).to.equal(184);
    expect(config.media.portMax).to.equal(40000);
    expect(config.warnings).to.deep.equal([
      'Options without effect, recording is not available in this version: recording-dir, recording-method',
    ]);
  });

  it('asks for help, version and codecs before anything else', () => {
    const kind = (word: string): string => loadConfig([word], {}, files({}), { cores: 1 }).kind;
    expect(['--help', '-h', '--version', '-v', '--codecs'].map(kind)).to.deep.equal([
      'help',
      'help',
      'version',
      'version',
      'codecs',
    ]);
  });
});

describe('file and command line', () => {
  const path = '/etc/rtpengine/rtpengine.conf';
  const base = '[rtpengine]\ninterface=127.0.0.1\nlisten-ng=2223\n';

  it('reads our own default file first, then that of rtpengine', () => {
    const own = '/etc/rtprelay/rtprelay.conf';
    expect(configOf([], { [path]: `${base}tos=1`, [own]: `${base}tos=2` }).media.tos).to.equal(2);
    expect(configOf([], { [path]: `${base}tos=1` }).configFile).to.equal(path);
  });

  it('does without a default file, but not without a named one', () => {
    expect(configOf(minimal.slice(1)).configFile).to.equal(null);
    expect(refusal([...minimal.slice(1), '--config-file=/no/such']).message).to.match(
      /^Cannot read \/no\/such: ENOENT/,
    );
  });

  it('reads no file for none', () => {
    expect(configOf(minimal, { [path]: 'garbage' }).configFile).to.equal(null);
  });

  it('lets the command line win, lists as a whole', () => {
    const text = '[rtpengine]\ninterface=a/10.0.0.1;b/10.0.0.2\nlisten-ng=1;2\ntimeout=5\n';
    const config = configOf(['--interface=127.0.0.1', '--timeout=6'], { [path]: text });
    expect(config.media.interfaces.interfaces.map(({ name }) => name)).to.deep.equal(['default']);
    expect(config.limits.timeoutSeconds).to.equal(6);
    expect(config.control.listenNg).to.have.length(2);
  });

  it('reads the section it is told to', () => {
    const text = `${base}[two]\ninterface=127.0.0.2\nlisten-ng=2224\n`;
    const config = configOf(['--config-section=two'], { [path]: text });
    expect(config.control.listenNg[0]?.port).to.equal(2224);
    expect(refusal(['--config-section=three'], { [path]: text }).message).to.equal(
      `${path} has no section [three]`,
    );
  });

  it('names unknown keys in one warning and ignores them', () => {
    const { warnings } = configOf([], { [path]: `${base}wibble=1\nnum-media-threads=8\n` });
    expect(warnings).to.deep.equal([
      `Unknown options in ${path}, ignored: wibble, num-media-threads`,
    ]);
  });

  it('names file, line and option of a bad value', () => {
    const bad = (line: string): string => refusal([], { [path]: `${base}${line}\n` }).message;
    expect(bad('timeout=abc')).to.equal(
      `${path}, line 4: value 'abc' of timeout is not a whole number`,
    );
    expect(bad('timeout = 12 # seconds')).to.include("'12 # seconds'");
    expect(bad('tos = 0x10')).to.include("'0x10' of tos");
    expect(bad('sip-source=maybe')).to.include('is neither true nor false');
    expect(bad('endpoint-learning=foo')).to.include('is none of off, immediate');
    expect(bad('redis = geheim\\x@h:1/0')).to.not.include('geheim');
  });

  it('refuses a bad value in the file even when the command line has the option', () => {
    expect(refusal(['--timeout=1'], { [path]: `${base}timeout=x\n` }).option).to.equal('timeout');
  });

  it('takes true and false for switches', () => {
    const config = configOf([], { [path]: `${base}foreground = true\nlog-stderr=false\n` });
    expect([config.foreground, config.log.toStderr]).to.deep.equal([true, false]);
  });
});

describe('options of other versions', () => {
  it('are named with the reason when they have no effect', () => {
    const argv = ['--debug-srtp', '--homer-id=7', '-g', '1.2.3.4:2003', '-k', '3', '-k', '4'];
    expect(configOf([...minimal, ...argv]).warnings).to.deep.equal([
      'Options without effect, there is no --redis: subscribe-keyspace',
      'Options without effect, there is no --graphite-interval: graphite',
      'Options without effect, there is no --homer: homer-id',
      'Options without effect, a log of crypto internals is not available in this version: debug-srtp',
    ]);
  });

  it('say whom figures and notices go to', () => {
    const { telemetry } = configOf([
      ...minimal,
      ...['--homer=[2001:db8::1]:9060', '--homer-protocol=TCP', '--homer-enable-ng'],
      ...['-g', 'graphite.example.org:2003', '-G', '30', '--graphite-prefix=a.'],
      ...['-b', 'http://%%:8000/RPC2', '-x', '2', '--log-facility-cdr=local1'],
    ]);
    expect(telemetry.homer).to.deep.include({ host: '2001:db8::1', port: 9060, protocol: 'tcp' });
    expect(telemetry.homer).to.deep.include({ captureId: 2001, rtcp: true, ng: true });
    expect(telemetry.graphite).to.deep.include({ host: 'graphite.example.org', port: 2003 });
    expect(telemetry.graphite).to.deep.include({ intervalSeconds: 30, prefix: 'a.' });
    expect(telemetry.xmlRpc).to.deep.equal({ url: 'http://%%:8000/RPC2', format: 2 });
    expect(telemetry).to.include({ cdrFacility: 'local1', rtcpFacility: null, mqtt: null });
    expect(refusal([...minimal, '--mqtt-host=broker']).message).to.include('mqtt-publish-topic');
    expect(refusal([...minimal, '--b2b-url=ftp://x']).option).to.equal('b2b-url');
    expect(refusal([...minimal, '--homer=nonsense:x']).option).to.equal('homer');
  });

  it('tell how MOS is estimated; of contradicting words the last holds', () => {
    const mosOf = (...words: readonly string[]): unknown =>
      configOf([...minimal, ...words.map((word) => `--mos=${word}`)]).media.mos;
    expect(mosOf()).to.deep.equal({ formula: 'G.107', kind: 'conversational' });
    expect(mosOf('LQ')).to.deep.equal({ formula: 'G.107', kind: 'listening' });
    expect(mosOf('legacy', 'cq')).to.deep.equal({ formula: 'legacy', kind: 'conversational' });
    expect(mosOf('legacy', 'LQ', 'G.107')).to.deep.equal({ formula: 'G.107', kind: 'listening' });
    expect(refusal([...minimal, '--mos=POLQA']).option).to.equal('mos');
    expect(configOf([...minimal, '--mos=G.107.2']).warnings).to.deep.equal([
      'Options without effect, G.107 rates full band codecs too: mos',
    ]);
    expect(configOf([...minimal, '--mos=legacy', '--mos=LQ']).warnings).to.deep.equal([]);
  });

  it('are not named when they are set to their default', () => {
    expect(configOf([...minimal, '--table=-1', '--dtls-mtu=1200']).warnings).to.deep.equal([]);
  });

  it('are refused where ignoring them would mislead', () => {
    expect(refusal([...minimal, '--nftables-start']).message).to.match(/--nftables-start is not/);
    expect(refusal([...minimal, '--interfaces-config=if']).option).to.equal('interfaces-config');
    expect(configOf([...minimal, '--table=0', '--no-fallback']).media.noFallback).to.equal(true);
    expect(refusal([...minimal, '--kernel-forward=ebpf']).message).to.include('nft, none');
    expect(configOf([...minimal, '--kernel-forward=nft']).media).to.include({
      ...{ kernelForward: 'nft', kernelForwardSetForwarding: false },
    });
    expect(configOf(minimal).media.kernelForward).to.equal('none');
    expect(configOf([...minimal, '--table=0']).media.kernelForward).to.equal('auto');
    expect(
      configOf([...minimal, '--table=0', '--kernel-forward=none']).media.kernelForward,
    ).to.equal('none');
    expect(configOf([...minimal, '--port-mode=steered']).media.portMode).to.equal('steered');
    expect(configOf(minimal).media.portMode).to.equal('bound');
    expect(refusal([...minimal, '--port-mode=shared']).message).to.include('auto, bound, steered');
  });
});

describe('validation', () => {
  it("uses rtpengine's words", () => {
    const words: readonly (readonly [readonly string[], string])[] = [
      [['--listen-ng=1'], 'Cannot start without any configured interfaces'],
      [
        ['--interface=127.0.0.1'],
        'Missing option --listen-tcp, --listen-udp, --listen-ng, --listen-tcp-ng, --listen-http, or --listen-https',
      ],
      [
        [...minimal, '--tos=300'],
        "Bad command line: Value '300' of --tos must not be greater than 255: Invalid TOS value",
      ],
      [
        [...minimal, '--control-tos=-1'],
        "Bad command line: Value '-1' of --control-tos must not be less than 0: Invalid control-ng TOS value",
      ],
      [[...minimal, '--redis=foo'], "Invalid Redis endpoint [IP:PORT/INT] 'foo' (--redis)"],
      [
        [...minimal, '--redis-write=foo'],
        "Invalid Redis endpoint [IP:PORT/INT] 'foo' (--redis-write)",
      ],
      [[...minimal, '--listen-cli=:70000'], "Invalid IP or port ':70000' (--listen-cli)"],
    ];
    for (const [argv, message] of words) {
      expect(refusal(argv).message).to.equal(message);
    }
  });

  it('names the listeners it does not serve when there is no other', () => {
    expect(refusal(['-i', '127.0.0.1', '-u', '22']).message).to.equal(
      'Missing option --listen-ng: this version does not serve listen-udp',
    );
  });

  it('needs one listener of NG, whichever it is', () => {
    const listeners = ['listen-ng=unix:/run/ng', 'listen-tcp-ng=2224', 'listen-http=[::1]:2225'];
    for (const listener of listeners) {
      const { control } = configOf(['-i', '127.0.0.1', `--${listener}`]);
      expect(control.listenNg).to.deep.equal([]);
    }
    const { control } = configOf([...minimal, '--listen-ng=unix:/run/ng', '--listen-http=2225']);
    expect(control.listenUnix).to.deep.equal(['/run/ng']);
    expect(control.listenHttp).to.deep.equal([{ host: null, port: 2225 }]);
    expect(refusal([...minimal, '--listen-https=2226']).message).to.equal(
      'Option --listen-https needs --https-cert',
    );
    expect(refusal([...minimal, '--control-allow=10.0.0.0/33']).message).to.equal(
      "Invalid network '10.0.0.0/33' (--control-allow)",
    );
  });

  it('refuses a port range that holds nothing', () => {
    const { message, option } = refusal([...minimal, '--port-min=50000', '--port-max=40000']);
    expect(message).to.include('--port-min=50000').and.include('--port-max=40000');
    expect(option).to.equal('port-min');
  });

  it('refuses every number out of its range, from the command line and from the file', () => {
    const numbers = options.filter(({ type }) => type === 'int' || type === 'float');
    expect(numbers.length).to.be.greaterThan(90);
    for (const { name, minimum, maximum } of numbers) {
      expect(minimum, `${name} has a range`).to.be.a('number');
      const low = (minimum ?? 0) - 1;
      const high = (maximum ?? 2 ** 63) + 1;
      for (const value of [low, high]) {
        const { message, option } = refusal([...minimal, `--${name}=${value}`]);
        expect(option).to.equal(name);
        expect(message).to.match(new RegExp(`of --${name} (must not be|is not|is out of)`));
        const text = `[rtpengine]\ninterface=127.0.0.1\nlisten-ng=1\n${name} = ${value}\n`;
        const inFile = configError(() => configOf(['--config-file=f'], { f: text }));
        expect(inFile.message).to.match(new RegExp(`f, line 4: value '.*' of ${name} `));
      }
    }
    expect(refusal([...minimal, '--log-level=99']).message).to.include('greater than 7');
    expect(refusal([...minimal, '--num-threads=0']).message).to.include('less than 1');
  });

  it('takes lists of CPUs, whose threads are as many by themselves', () => {
    const { media } = configOf([...minimal, '--media-cpus=5, 0-2', '--media-cpus=2,7-7']);
    expect(media.mediaCpus).to.deep.equal([5, 0, 1, 2, 7]);
    expect(media.numThreads).to.equal(5);
    expect(configOf([...minimal, '--media-cpus=1', '--num-threads=3']).media.numThreads).to.equal(
      3,
    );
    expect(configOf(minimal).media.mediaCpus).to.deep.equal([]);
    for (const wrong of ['3-1', 'x', '1-', '-1', '1-2-3', '8192', '1;2', '0x1'])
      expect(refusal([...minimal, `--media-cpus=${wrong}`]).message).to.equal(
        `Invalid list of CPUs '${wrong}' (--media-cpus)`,
      );
  });

  it('has no packet wait for others, or as long as is said', () => {
    expect(configOf(minimal).media.coalesceMicros).to.equal(0);
    expect(configOf([...minimal, '--coalesce-usecs=500']).media.coalesceMicros).to.equal(500);
    expect(refusal([...minimal, '--coalesce-usecs=2001']).message).to.include('greater than 2000');
  });

  it('never has more threads by itself than the relay takes', () => {
    const invocation = loadConfig(minimal, {}, files({}), { cores: 128 });
    expect(invocation.kind === 'run' ? invocation.config.media.numThreads : 0).to.equal(64);
  });

  it('takes words in any case', () => {
    const fixed = options.filter(({ choices, status }) => choices !== null && status !== null);
    expect(fixed.length).to.be.greaterThan(15);
    for (const { name, choices } of fixed) {
      for (const word of choices ?? []) {
        for (const written of [word.toUpperCase(), word.toLowerCase(), ` ${word} `]) {
          const argv = [...minimal, `--${name}=${written}`];
          // Some words ask for what this version does not do, and it says so; none is unknown.
          const value = configOf(argv).given.get(name);
          expect(Array.isArray(value) ? value[0] : value, `${name}=${written}`).to.equal(word);
        }
      }
      expect(refusal([...minimal, `--${name}=nonsense`]).message).to.include(
        `of --${name} is none`,
      );
    }
    const json = configOf([...minimal, '--redis=a:1/0', '--redis-format=json-10.5']);
    expect(json.redis?.format).to.equal('JSON-10.5');
  });

  it('says of each option that does nothing that it does nothing', () => {
    const { warnings } = configOf([
      ...[...minimal, '--save-interface-ports', '--redis-num-threads=8', '--no-fallback'],
      ...['--kernel-forward-interface=eth0', '--active-switchover', '--log-format=Parsable'],
    ]);
    const named = warnings.join('\n');
    for (const name of [
      ...['save-interface-ports', 'redis-num-threads', 'no-fallback', 'kernel-forward-interface'],
      ...['active-switchover', 'log-format'],
    ]) {
      expect(named).to.match(new RegExp(`^Options without effect, .*: .*\\b${name}\\b`, 'm'));
    }
    for (const option of options) {
      if (typeof option.status === 'string' || 'refused' in option.status) continue;
      const { name, type, choices, minimum, default: fallback } = option;
      const other = choices?.find((choice) => choice !== fallback) ?? 'other';
      const value =
        type === 'flag' ? 'true' : type === 'string' ? other : String((minimum ?? 0) + 2);
      expect(configOf([...minimal, `--${name}=${value}`]).warnings.join(), name).to.include(name);
    }
  });

  it('knows the facilities of syslog', () => {
    expect(configOf([...minimal, '--log-facility=local5']).log.facility).to.equal('local5');
    expect(refusal([...minimal, '--log-facility=foo']).message).to.include("'foo'");
  });
});

describe('Redis settings', () => {
  it('take passwords from the environment', () => {
    const env = { RTPENGINE_REDIS_AUTH_PW: 'read', RTPENGINE_REDIS_WRITE_AUTH_PW: 'write' };
    const { redis } = configOf([...minimal, '-r', 'a:1/0', '-w', 'b:2/3'], {}, env);
    expect([redis?.read?.password, redis?.write.password]).to.deep.equal(['read', 'write']);
    expect(configOf([...minimal, '-r', 'own@a:1/0'], {}, env).redis?.read?.password).to.equal(
      'own',
    );
  });

  it('ask the environment for the passwords of subscriptions and sentinels as well', () => {
    const env = {
      RTPENGINE_REDIS_AUTH_PW: 'read',
      RTPENGINE_REDIS_SUBSCRIBE_AUTH_PW: 'subscribe',
      RTPENGINE_REDIS_SENTINEL_AUTH_PW: 'sentinel',
    };
    const argv = [...minimal, '-r', 'sentinel://s/calls/1', '--redis-subscribe=s:1'];
    const { redis } = configOf(argv, {}, env);
    expect(redis?.subscribe.password).to.equal('subscribe');
    expect(redis?.read?.sentinel?.password).to.equal('sentinel');
    const { RTPENGINE_REDIS_SUBSCRIBE_AUTH_PW: _, ...others } = env;
    expect(configOf(argv, {}, others).redis?.subscribe.password).to.equal('read');
    expect(
      configOf([...argv, '--redis-sentinel-password=given'], {}, env).redis?.read?.sentinel,
    ).to.deep.equal({ masterName: 'calls', username: null, password: 'given' });
  });

  it('secure connections, and say so when there are none to secure', () => {
    const files = ['--redis-tls-ca=ca', '--redis-tls-cert=c', '--redis-tls-key=k'];
    const secured = configOf([...minimal, '-r', 'rediss://h/1', ...files]);
    const tls = { ca: 'ca', cert: 'c', key: 'k', verify: true };
    expect(secured.redis?.write.tls).to.deep.equal(tls);
    expect(secured.warnings).to.deep.equal([]);
    const plain = configOf([...minimal, '-r', 'h:1/0', '--redis-tls-insecure']);
    expect(plain.redis?.read?.tls).to.equal(undefined);
    expect(plain.warnings.join()).to.include('redis-tls-insecure');
    const half = [...minimal, '-r', 'rediss://h/1', '--redis-tls-key=k'];
    expect(refusal(half).message).to.include('--redis-tls-cert');
  });

  it('allow a database that is only written', () => {
    const { redis } = configOf([...minimal, '--redis-write=b:2/3']);
    expect(redis?.read).to.equal(null);
    expect(redis?.write.database).to.equal(3);
  });

  it('know the forms of stored calls', () => {
    const format = (text: string): unknown =>
      configOf([...minimal, '-r', 'a:1/0', `--redis-format=${text}`]).redis?.format;
    const words = ['auto', 'native', 'bencode', 'JSON', 'JSON-10.5', 'JSON-12.5'];
    expect(words.map(format)).to.deep.equal([
      'auto',
      'bencode',
      'bencode',
      'JSON',
      'JSON-10.5',
      'JSON-12.5',
    ]);
  });

  it('wait for the acknowledgement for 200 ms unless told otherwise', () => {
    const of = (...argv: string[]): unknown =>
      configOf([...minimal, '-r', 'a:1/0', ...argv]).redis?.commitTimeoutMs;
    expect(of()).to.equal(200);
    expect(of('--redis-commit-timeout=50')).to.equal(50);
  });
});
