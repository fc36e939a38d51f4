/** One call over LiveKit: the room, its tracks, captions and state, told to one listener. */

import {
  ConnectionError,
  ConnectionErrorReason,
  type ConnectionQuality,
  DisconnectReason,
  ParticipantKind,
  type RemoteParticipant,
  type RemoteTrack,
  Room,
  RoomEvent,
  type TextStreamReader,
} from "livekit-client";
import type { TurnTrace } from "../latency/turn";
import { Witness } from "../latency/witness";
import { type Caption, speakerOf } from "./captions";
import { mark } from "./marks";
import {
  AGENT_MISSING,
  CALL_ENDED_ELSEWHERE,
  CONNECTION_LOST,
  type Device,
  deviceProblem,
  deviceProblemIds,
  joinProblem,
  MESSAGE_LOST,
  type Problem,
  TAKEN_ELSEWHERE,
} from "./problems";
import { recordOn } from "./recording";
import { TypedWords } from "./typed-words";

export type Phase = "connecting" | "waiting" | "live" | "reconnecting";

export interface AgentFacts {
  /** initializing, listening, thinking or speaking (LiveKit's own attribute). */
  state: string;
  brain: string;
  /** What describes the camera's picture to the brain; empty: nothing does. */
  eyes: string;
  /** This turn's answer is made with a look through the camera. */
  looks: boolean;
  error: string;
}

export interface CallListener {
  onPhase(phase: Phase): void;
  /** The last word of a session: why it ended, or null when the caller hung up. */
  onEnded(problem: Problem | null): void;
  onAgent(facts: AgentFacts): void;
  onTrack(track: RemoteTrack): void;
  onCaption(caption: Caption): void;
  /** A turn is over, and this is where its time went. */
  onTurn(turn: TurnTrace): void;
  onQuality(quality: ConnectionQuality): void;
  onPlaybackBlocked(blocked: boolean): void;
  onMicrophone(on: boolean): void;
  onCamera(on: boolean): void;
  /** A problem appeared, or (null) the one with this id is gone. */
  onProblem(id: string, problem: Problem | null): void;
}

const AGENT_PATIENCE_MS = 12_000;
/** Small and slow: the agent takes one still picture a question. */
const CAMERA = { resolution: { width: 640, height: 360, frameRate: 10 } };
const TRANSCRIPTION = "lk.transcription";

export class CallSession {
  readonly room = new Room({
    adaptiveStream: false,
    dynacast: false,
    audioCaptureDefaults: {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
    },
    // LiveKit looks for this here only, although publishing takes it as an option too.
    publishDefaults: { preConnectBuffer: true },
  });
  readonly witness = new Witness(this.room, (turn) => this.#listener.onTurn(turn));
  readonly #typed = new TypedWords(this.room);
  #listener: CallListener;
  #ended = false;
  #agentTimer: number | undefined;

  constructor(listener: CallListener) {
    this.#listener = listener;
    window.__room = this.room;
    this.#watchDevices();
    this.#listen();
  }

  /** `local`: the media path needs no STUN server, so none on the internet is asked. */
  async join(url: string, token: string, local: boolean): Promise<void> {
    this.#setPhase("connecting");
    // Recording begins before the connection stands; what is said meanwhile is sent afterwards.
    const microphone = this.setMicrophone(true);
    try {
      await this.room.connect(url, token, local ? { rtcConfig: { iceServers: [] } } : {});
    } catch (error) {
      const refused =
        error instanceof ConnectionError && error.reason === ConnectionErrorReason.NotAllowed;
      this.#end(joinProblem(refused, error instanceof Error ? error.message : String(error)));
      return;
    }
    mark("connected");
    this.#watchAgent();
    for (const participant of this.room.remoteParticipants.values()) this.#meet(participant);
    await microphone;
  }

  async setMicrophone(on: boolean): Promise<void> {
    if (this.#ended) return;
    try {
      await this.room.localParticipant.setMicrophoneEnabled(on);
      this.#deviceWorks("microphone");
    } catch (error) {
      this.#deviceFailed("microphone", error);
    }
    this.#listener.onMicrophone(this.microphoneOn);
  }

  /** Switched off, the track ends, so that the device's own light goes out. */
  async setCamera(on: boolean): Promise<void> {
    if (this.#ended) return;
    try {
      const { localParticipant } = this.room;
      await localParticipant.setCameraEnabled(on, CAMERA, { simulcast: false });
      this.#deviceWorks("camera");
    } catch (error) {
      this.#deviceFailed("camera", error);
    }
    this.#listener.onCamera(this.cameraOn);
  }

  get cameraOn(): boolean {
    return this.room.localParticipant.isCameraEnabled;
  }

  get microphoneOn(): boolean {
    return this.room.localParticipant.isMicrophoneEnabled;
  }

  /**
   * Typed words stand in the transcript at once; the agent does not repeat them. False: they did
   * not reach it, which the transcript then shows no longer.
   */
  async sendText(text: string): Promise<boolean> {
    const name = this.#typed.name();
    const caption: Caption = { segment: `typed-${name}`, speaker: "user", text, final: true };
    this.#listener.onCaption(caption);
    const read = await this.#typed.send(name, text);
    if (this.#ended) return true; // the call's end says enough
    if (!read) this.#listener.onCaption({ ...caption, text: "" });
    this.#listener.onProblem(MESSAGE_LOST.id, read ? null : MESSAGE_LOST);
    return read;
  }

  async startPlayback(): Promise<void> {
    await Promise.all([this.room.startAudio(), this.room.startVideo()]);
  }

  async leave(): Promise<void> {
    this.#end(null);
    await this.room.disconnect();
  }

  /** A permission that is given after the call has ended opens nothing. */
  #watchDevices(): void {
    const { localParticipant } = this.room;
    const create = localParticipant.createTracks.bind(localParticipant);
    localParticipant.createTracks = async (options) => {
      const tracks = await create(options);
      tracks.forEach(recordOn);
      if (!this.#ended) return tracks;
      for (const track of tracks) track.stop();
      throw new DOMException("the call has ended", "AbortError");
    };
  }

  #listen(): void {
    const { room } = this;
    room
      .on(RoomEvent.ParticipantConnected, (participant) => this.#meet(participant))
      .on(RoomEvent.ParticipantDisconnected, (participant) => {
        if (participant.kind !== ParticipantKind.AGENT) return;
        this.#setPhase("waiting");
        this.#watchAgent();
      })
      .on(RoomEvent.ParticipantAttributesChanged, (_changed, participant) => {
        if (participant.kind === ParticipantKind.AGENT) this.#tellAgent(participant.attributes);
      })
      .on(RoomEvent.TrackSubscribed, (track) => {
        mark(`${track.kind}Subscribed`);
        this.#listener.onTrack(track);
      })
      .on(RoomEvent.ConnectionQualityChanged, (quality, participant) => {
        if (participant.isLocal) this.#listener.onQuality(quality);
      })
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.#tellPlayback())
      .on(RoomEvent.VideoPlaybackStatusChanged, () => this.#tellPlayback())
      // A connection that can be resumed, and one that must be made anew.
      .on(RoomEvent.SignalReconnecting, () => this.#setPhase("reconnecting"))
      .on(RoomEvent.Reconnecting, () => this.#setPhase("reconnecting"))
      .on(RoomEvent.Reconnected, () => {
        const agent = this.#agent();
        this.#setPhase(agent ? "live" : "waiting");
        if (agent) this.#tellAgent(agent.attributes); // unchanged ones are not told again
      })
      .on(RoomEvent.Disconnected, (reason) => this.#onDisconnected(reason));
    room.registerTextStreamHandler(TRANSCRIPTION, (reader, { identity }) => {
      void this.#readCaption(reader, identity);
    });
  }

  #agent(): RemoteParticipant | undefined {
    const others = [...this.room.remoteParticipants.values()];
    return others.find((participant) => participant.kind === ParticipantKind.AGENT);
  }

  #meet(participant: RemoteParticipant): void {
    if (participant.kind !== ParticipantKind.AGENT) return;
    mark("agentJoined");
    window.clearTimeout(this.#agentTimer);
    this.#listener.onProblem(AGENT_MISSING.id, null);
    this.#setPhase("live");
    this.#tellAgent(participant.attributes);
  }

  #watchAgent(): void {
    if (this.#agent()) return;
    this.#setPhase("waiting");
    window.clearTimeout(this.#agentTimer);
    this.#agentTimer = window.setTimeout(
      () => this.#listener.onProblem(AGENT_MISSING.id, AGENT_MISSING),
      AGENT_PATIENCE_MS,
    );
  }

  #tellAgent(attributes: Readonly<Record<string, string>>): void {
    this.#listener.onAgent({
      state: attributes["lk.agent.state"] ?? "initializing",
      brain: attributes["xs.brain"] ?? "",
      eyes: attributes["xs.eyes"] ?? "",
      looks: (attributes["xs.looks"] ?? "") !== "",
      error: attributes["xs.error"] ?? "",
    });
  }

  #deviceWorks(device: Device): void {
    for (const id of deviceProblemIds(device)) this.#listener.onProblem(id, null);
  }

  #deviceFailed(device: Device, error: unknown): void {
    if (this.#ended) return;
    const problem = deviceProblem(device, error, window.isSecureContext);
    this.#listener.onProblem(problem.id, problem);
  }

  #tellPlayback(): void {
    const { canPlaybackAudio, canPlaybackVideo } = this.room;
    this.#listener.onPlaybackBlocked(!(canPlaybackAudio && canPlaybackVideo));
  }

  async #readCaption(reader: TextStreamReader, sender: string): Promise<void> {
    const attributes = reader.info.attributes ?? {};
    const local = {
      identity: this.room.localParticipant.identity,
      trackSids: [...this.room.localParticipant.trackPublications.keys()],
    };
    const trackSid = attributes["lk.transcribed_track_id"];
    const speaker = speakerOf({ sender, trackSid }, local);
    const segment = attributes["lk.segment_id"] ?? reader.info.id;
    let text = "";
    try {
      for await (const piece of reader) {
        text += piece;
        this.#listener.onCaption({ segment, speaker, text, final: false });
      }
    } catch {
      return; // the agent left in the middle of a sentence; what came stays
    }
    // A stream that grew says only in its last packet that it is final.
    const final = reader.info.attributes?.["lk.transcription_final"] === "true";
    if (final) this.#listener.onCaption({ segment, speaker, text, final: true });
  }

  #onDisconnected(reason: DisconnectReason | undefined): void {
    if (reason === DisconnectReason.DUPLICATE_IDENTITY) {
      this.#end(TAKEN_ELSEWHERE);
      return;
    }
    const over =
      reason === DisconnectReason.ROOM_DELETED ||
      reason === DisconnectReason.ROOM_CLOSED ||
      reason === DisconnectReason.PARTICIPANT_REMOVED;
    this.#end(over ? CALL_ENDED_ELSEWHERE : CONNECTION_LOST);
  }

  #end(problem: Problem | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.witness.stop();
    this.#typed.stop();
    window.clearTimeout(this.#agentTimer);
    this.#listener.onEnded(problem);
    for (const publication of this.room.localParticipant.trackPublications.values()) {
      publication.track?.stop();
    }
  }

  #setPhase(phase: Phase): void {
    if (this.#ended) return;
    this.#listener.onPhase(phase);
  }
}
