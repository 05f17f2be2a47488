/** The command `transform` (ng-protocol.md §3.18): what comes is sent on to a destination, in other codecs. */
import { isList } from './bencode.js';
import { isDictionary, type NgDictionary, type NgValue } from './dictionary.js';
import { integerOf, stringOf } from './values.js';
import { canonicalAddress } from '../sdp/address.js';

/** A codec as the command writes it. */
export interface TransformCodec {
  readonly payloadType: number;
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number;
  readonly fmtp: string;
}

/** One medium: its input comes to us, its output goes to the destination. */
export interface TransformMedia {
  readonly id: string;
  readonly type: string;
  readonly input: readonly TransformCodec[];
  readonly output: readonly TransformCodec[];
  readonly destination: { readonly address: string; readonly port: number };
}

const maxMedias = 100;
const maxCodecs = 128;

function codecOf(value: NgValue): TransformCodec | null {
  if (!isDictionary(value)) return null;
  const encoding = stringOf(value.get('codec')) ?? '';
  const payloadType = integerOf(value.get('payload type')) ?? -1;
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(encoding) || payloadType < 0 || payloadType > 127) return null;
  const fmtp = stringOf(value.get('format')) ?? '';
  return {
    payloadType,
    encoding,
    clockRate: integerOf(value.get('clock rate')) ?? 8000,
    channels: integerOf(value.get('channels')) ?? 1,
    fmtp: /^[\x20-\x7e]{0,512}$/.test(fmtp) ? fmtp : '',
  };
}

function codecsOf(value: NgValue | undefined): readonly TransformCodec[] | null {
  if (value === undefined || !isList(value) || value.length > maxCodecs) return null;
  const codecs = value.map(codecOf);
  return codecs.includes(null) ? null : codecs.filter((codec) => codec !== null);
}

function mediaOf(value: NgValue): TransformMedia | null {
  if (!isDictionary(value)) return null;
  const type = stringOf(value.get('type')) ?? 'audio';
  const [codec, destination] = [value.get('codec'), value.get('destination')];
  if (!isDictionary(codec) || !isDictionary(destination)) return null;
  const input = codecsOf(codec.get('input'));
  const output = codecsOf(codec.get('output'));
  const address = canonicalAddress(stringOf(destination.get('address')) ?? '');
  const port = integerOf(destination.get('port')) ?? 0;
  if (input === null || output === null || address === null) return null;
  if (port < 1 || port > 65_535 || !/^[a-z]{1,32}$/.test(type)) return null;
  const id = value.get('id');
  return {
    ...{ type, input, output, destination: { address, port } },
    id: typeof id === 'number' ? String(id) : (stringOf(id) ?? ''),
  };
}

/** null: there is none, or one of them cannot be read. */
export function transformMedias(dictionary: NgDictionary): readonly TransformMedia[] | null {
  const value = dictionary.get('media') ?? dictionary.get('medias');
  if (value === undefined || !isList(value) || value.length > maxMedias) return null;
  const medias = value.map(mediaOf);
  if (medias.length === 0 || medias.includes(null)) return null;
  return medias.filter((media) => media !== null);
}
