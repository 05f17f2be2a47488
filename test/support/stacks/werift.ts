/** werift (npm), a stack written in TypeScript. */
import { fromStacks, Heard, Speaker, type StackPeer } from './stack.js';

/** What is used of it. */
interface Werift {
  readonly RTCPeerConnection: new (options: object) => Connection;
  readonly RTCRtpCodecParameters: new (codec: object) => object;
  readonly MediaStreamTrack: new (options: object) => Track;
}
interface Track {
  writeRtp(packet: Buffer): void;
  readonly onReceiveRtp: Event<{ serialize(): Buffer }>;
}
interface Event<T> {
  subscribe(listener: (value: T) => void): void;
}
interface Description {
  readonly type: 'offer' | 'answer';
  readonly sdp: string;
}
interface Connection {
  readonly connectionState: string;
  readonly localDescription?: Description;
  readonly onTrack: Event<Track>;
  addTransceiver(track: Track, options: object): unknown;
  createOffer(): Promise<Description>;
  createAnswer(): Promise<Description>;
  setLocalDescription(description: Description): Promise<unknown>;
  setRemoteDescription(description: Description): Promise<unknown>;
  close(): Promise<void>;
}

export class WeriftPeer implements StackPeer {
  readonly #heard = new Heard();
  readonly #speaker: Speaker;

  private constructor(
    private readonly connection: Connection,
    private readonly track: Track,
    mark: number,
  ) {
    this.#speaker = new Speaker(mark, 0x0077_0000 + mark);
    connection.onTrack.subscribe((theirs) => {
      theirs.onReceiveRtp.subscribe((packet) => {
        this.#heard.take(packet.serialize());
      });
    });
  }

  static async open(mark: number): Promise<WeriftPeer> {
    const { RTCPeerConnection, RTCRtpCodecParameters, MediaStreamTrack } = (await fromStacks(
      'werift',
    )) as Werift;
    const codec = { mimeType: 'audio/PCMA', clockRate: 8000, channels: 1, payloadType: 8 };
    const connection = new RTCPeerConnection({
      ...{ iceServers: [], iceUseIpv6: false, iceAdditionalHostAddresses: ['127.0.0.1'] },
      codecs: { audio: [new RTCRtpCodecParameters(codec)] },
    });
    const track = new MediaStreamTrack({ kind: 'audio' });
    connection.addTransceiver(track, { direction: 'sendrecv' });
    return new WeriftPeer(connection, track, mark);
  }

  async offer(): Promise<string> {
    await this.connection.setLocalDescription(await this.connection.createOffer());
    return this.connection.localDescription?.sdp ?? '';
  }

  async answer(offer: string): Promise<string> {
    await this.connection.setRemoteDescription({ type: 'offer', sdp: offer });
    await this.connection.setLocalDescription(await this.connection.createAnswer());
    return this.connection.localDescription?.sdp ?? '';
  }

  async accept(answer: string): Promise<void> {
    await this.connection.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  send(): void {
    if (this.state() === 'connected') this.track.writeRtp(this.#speaker.next());
  }

  received(mark: number): number {
    return this.#heard.count(mark);
  }

  state(): string {
    return this.connection.connectionState;
  }

  close(): void {
    void this.connection.close();
  }
}
