/** What a rehearsal says: calls as phones and proxies make them, one like the other but for their ends. */

const calls = 600;

const string = (text: string): string => `${text.length}:${text}`;

const dictionary = (members: Readonly<Record<string, string | readonly string[]>>): string => {
  let text = 'd';
  for (const [key, value] of Object.entries(members)) {
    const written = typeof value === 'string' ? string(value) : `l${value.map(string).join('')}e`;
    text += string(key) + written;
  }
  return `${text}e`;
};

const telephone = ['a=rtpmap:101 telephone-event/8000', 'a=fmtp:101 0-16'];

/** Sections of one kind of phone each. */
const kinds: readonly (readonly string[])[] = [
  ['m=audio PORT RTP/AVP 8 0 101', ...telephone, 'a=sendrecv'],
  [
    'm=audio PORT RTP/AVP 0 8 9 101',
    'a=rtpmap:0 PCMU/8000',
    'a=rtpmap:8 PCMA/8000',
    'a=rtpmap:9 G722/8000',
    ...telephone,
    'a=ptime:20',
    'a=sendrecv',
  ],
  ['m=audio PORT RTP/AVP 8 101', 'a=rtpmap:8 PCMA/8000', ...telephone, 'a=rtcp:PORT1'],
  [
    'm=audio PORT RTP/AVP 96 8 101',
    'a=rtpmap:96 opus/48000/2',
    'a=fmtp:96 useinbandfec=1',
    ...telephone,
    'a=rtcp-mux',
    'a=mid:0',
  ],
];

function body(call: number, port: number, host: string): string {
  const section = (kinds[call % kinds.length] ?? []).join('\r\n');
  const lines = section.replaceAll('PORT1', String(port + 1)).replaceAll('PORT', String(port));
  return (
    `v=0\r\no=phone ${call + 1000} 1 IN IP4 ${host}\r\ns=call\r\nc=IN IP4 ${host}\r\nt=0 0\r\n` +
    `${lines}\r\n`
  );
}

/** The messages of each call. */
export function* rehearsedCalls(): Generator<readonly Buffer[]> {
  for (let call = 0; call < calls; call += 1) {
    const port = 10_000 + 2 * (call % 10_000);
    const tags = { 'call-id': `rehearsal-${call}@192.0.2.1`, 'from-tag': `from-${call}` };
    const flags = ['trust-address', 'symmetric'];
    const replace = ['origin', 'session-connection'];
    const offer = { ...tags, sdp: body(call, port, '192.0.2.1'), ...{ flags, replace } };
    const to = { 'to-tag': `to-${call}` };
    const answer = {
      ...tags,
      ...to,
      sdp: body(call, port + 4, '192.0.2.2'),
      ...{ flags, replace },
    };
    const steps: string[] = [
      dictionary({ command: 'offer', ...offer }),
      dictionary({ command: 'answer', ...answer }),
    ];
    if (call % 8 === 7) {
      steps.push(dictionary({ command: 'offer', ...offer, ...to }));
      steps.push(dictionary({ command: 'answer', ...answer }));
    }
    steps.push(dictionary({ command: 'delete', ...tags, 'delete-delay': '0' }));
    yield steps.map((step, at) => Buffer.from(`${call}_${at} ${step}`, 'latin1'));
  }
}
