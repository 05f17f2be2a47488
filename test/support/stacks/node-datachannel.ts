/** node-datachannel (npm): libdatachannel, written in C++, with libjuice and libsrtp. */
import { until } from '../wait.js';
import { fromStacks, Heard, Speaker, type StackPeer } from './stack.js';

/** What is used of it. */
interface Library {
  readonly PeerConnection: new (name: string, options: object) => Connection;
  readonly Audio: new (mid: string, direction: string) => Media;
}
interface Media {
  addAudioCodec(payloadType: number, codec: string): void;
  addSSRC(ssrc: number, name: string): void;
}
interface Track {
  isOpen(): boolean;
  sendMessageBinary(packet: Buffer): boolean;
  onMessage(listener: (packet: Buffer) => void): void;
}
interface Connection {
  addTrack(media: Media): Track;
  setLocalDescription(type: 'offer' | 'answer'): void;
  setRemoteDescription(sdp: string, type: 'offer' | 'answer'): void;
  localDescription(): { readonly sdp: string } | null;
  gatheringState(): string;
  state(): string;
  close(): void;
}

export class DataChannelPeer implements StackPeer {
  readonly #heard = new Heard();
  readonly #speaker: Speaker;
  #track: Track | null = null;

  private constructor(
    private readonly stack: Library,
    private readonly connection: Connection,
    mark: number,
  ) {
    this.#speaker = new Speaker(mark, 0x0064_0000 + mark);
  }

  static async open(mark: number): Promise<DataChannelPeer> {
    const stack = (await fromStacks('node-datachannel')) as Library;
    const connection = new stack.PeerConnection(`peer ${mark}`, {
      ...{ iceServers: [], bindAddress: '127.0.0.1', disableAutoNegotiation: true },
      forceMediaTransport: true,
    });
    return new DataChannelPeer(stack, connection, mark);
  }

  #add(mid: string): void {
    const media = new this.stack.Audio(mid, 'SendRecv');
    media.addAudioCodec(8, 'PCMA');
    media.addSSRC(this.#speaker.ssrc, 'peer');
    const track = this.connection.addTrack(media);
    track.onMessage((packet) => {
      this.#heard.take(packet);
    });
    this.#track = track;
  }

  async #described(type: 'offer' | 'answer'): Promise<string> {
    this.connection.setLocalDescription(type);
    await until(() => this.connection.gatheringState() === 'complete', 'candidates');
    return this.connection.localDescription()?.sdp ?? '';
  }

  offer(): Promise<string> {
    this.#add('0');
    return this.#described('offer');
  }

  answer(offer: string): Promise<string> {
    this.#add(/^a=mid:(\S+)/m.exec(offer)?.[1] ?? '0');
    this.connection.setRemoteDescription(offer, 'offer');
    return this.#described('answer');
  }

  accept(answer: string): Promise<void> {
    this.connection.setRemoteDescription(answer, 'answer');
    return Promise.resolve();
  }

  send(): void {
    const packet = this.#speaker.next();
    if (this.#track?.isOpen() === true) this.#track.sendMessageBinary(packet);
  }

  received(mark: number): number {
    return this.#heard.count(mark);
  }

  state(): string {
    return this.connection.state();
  }

  close(): void {
    this.connection.close();
  }
}
