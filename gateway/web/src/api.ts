/** The gateway's REST, typed. Every refusal arrives as a `Refusal` that a person can read. */

import type { TurnTrace } from "./latency/turn";

export interface Avatar {
  id: string;
  name: string;
  persona: string;
  voice: string;
  preview_url: string;
  is_default: boolean;
}

export interface Voice {
  id: string;
  label: string;
  gender: "woman" | "man";
  accent: string;
}

export interface RoomCreated {
  room: string;
  livekit_url: string;
  token: string;
  call_url: string;
  expires_at: string;
}

export interface Room {
  room: string;
  state: "created" | "active" | "ended";
  avatar: { id: string | null; name: string; preview_url: string | null };
  livekit_url: string;
  livekit_local: boolean;
  /** Whether what is said is written as captions. */
  transcript: boolean;
}

export interface Readiness {
  ready: boolean;
  not_ready: string[];
  parts: Record<string, { ready: boolean; detail: string; labels: Record<string, string> }>;
}

export interface Upload {
  portrait: File;
  name: string;
  persona: string;
  voice: string;
  consent: boolean;
}

/** What the server said no to, why, and what to do. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    title: string,
    readonly hint: string,
    readonly status: number,
  ) {
    super(title);
  }
}

/** 429: all places are taken. Without a ticket the waiting line is full, too. */
export class AtCapacity extends Refusal {
  readonly position: number;
  readonly waitS: number;
  readonly ticket: string | null;
  readonly askAgainS: number;

  constructor(
    title: string,
    hint: string,
    line: { position: number; waitS: number; ticket: string | null; askAgainS: number },
  ) {
    super("at_capacity", title, hint, 429);
    this.position = line.position;
    this.waitS = line.waitS;
    this.ticket = line.ticket;
    this.askAgainS = line.askAgainS;
  }
}

const ASK_AGAIN_S = 3;

const UNREACHABLE = new Refusal(
  "unreachable",
  "The server does not answer",
  "Check that X-Streamer still runs and that this device is on the same network.",
  0,
);

/** "closed": the server asks this browser for a key. */
export const doors = new EventTarget();

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw UNREACHABLE;
  }
  if (response.ok) return response;
  const refusal = await refusalOf(response);
  const shown = new Headers(init.headers).has("Authorization");
  if (refusal.code === "key_needed" && !shown) doors.dispatchEvent(new Event("closed"));
  throw refusal;
}

/** Shows a key, or a room's token; without one the browser's cookie speaks. */
function bearer(secret: string): RequestInit {
  return { headers: secret === "" ? {} : { Authorization: `Bearer ${secret}` } };
}

/** An answer that is none of ours: a proxy's, perhaps. */
function answered(response: Response): Refusal {
  return new Refusal("http", `The server answered ${response.status}`, "", response.status);
}

interface Problem {
  code: string;
  title: string;
  hint?: string;
  position?: number;
  estimated_wait_s?: number;
  ticket?: string;
}

async function refusalOf(response: Response): Promise<Refusal> {
  const type = response.headers.get("content-type") ?? "";
  if (!type.startsWith("application/problem+json")) {
    return answered(response);
  }
  const problem = (await response.json()) as Problem;
  if (problem.code === "at_capacity") {
    return new AtCapacity(problem.title, problem.hint ?? "", {
      position: problem.position ?? 1,
      waitS: problem.estimated_wait_s ?? 0,
      ticket: problem.ticket ?? null,
      askAgainS: Number(response.headers.get("retry-after")) || ASK_AGAIN_S,
    });
  }
  return new Refusal(problem.code, problem.title, problem.hint ?? "", response.status);
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await ask(path, init)).json()) as T;
}

export const listAvatars = (): Promise<Avatar[]> => json("/api/avatars");
export const listVoices = (): Promise<Voice[]> => json("/api/voices");
export const getRoom = (room: string, token: string): Promise<Room> =>
  json(`/api/rooms/${encodeURIComponent(room)}`, bearer(token));

/** Exchanges a key for a cookie. */
export async function signIn(key: string): Promise<void> {
  await ask("/api/session", { method: "POST", ...bearer(key) });
}

/** A portrait as an address for <img>, for callers who have nothing but their room's token. */
export async function getPortrait(url: string, token: string): Promise<string> {
  return URL.createObjectURL(await (await ask(url, bearer(token))).blob());
}

/**
 * `transcript`: false asks for a call without captions; else the server decides.
 * Throws AtCapacity, whose ticket keeps the place in the line.
 */
export function createRoom(
  avatarId: string,
  transcript: boolean,
  ticket: string | null,
): Promise<RoomCreated> {
  return json("/api/rooms", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(ticket === null ? {} : { "XStreamer-Ticket": ticket }),
    },
    body: JSON.stringify({ avatar_id: avatarId, ...(transcript ? {} : { transcript }) }),
  });
}

export function createAvatar(upload: Upload): Promise<{ id: string; name: string }> {
  const form = new FormData();
  form.set("name", upload.name);
  form.set("persona", upload.persona);
  form.set("voice", upload.voice);
  form.set("consent", String(upload.consent));
  form.set("portrait", upload.portrait);
  return json("/api/avatars", { method: "POST", body: form });
}

export async function deleteAvatar(id: string): Promise<void> {
  await ask(`/api/avatars/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/** Also works while the page is being closed. */
export async function stopWaiting(ticket: string): Promise<void> {
  await ask(`/api/waiting/${encodeURIComponent(ticket)}`, { method: "DELETE", keepalive: true });
}

/** Also works while the page is being closed. */
export async function endRoom(room: string, token: string): Promise<void> {
  const path = `/api/rooms/${encodeURIComponent(room)}`;
  await ask(path, { method: "DELETE", keepalive: true, ...bearer(token) });
}

/** Deletes the record of a call; by the browser's cookie where the room's token has expired. */
export async function forgetRoom(room: string, token: string): Promise<void> {
  const path = `/api/rooms/${encodeURIComponent(room)}/record`;
  try {
    await ask(path, { method: "DELETE", ...bearer(token) });
  } catch (error) {
    if (!(error instanceof Refusal && error.code === "key_needed")) throw error;
    await ask(path, { method: "DELETE" });
  }
}

/** Readiness is news either way, so a 503 is no error here. */
export async function readiness(): Promise<Readiness> {
  let response: Response;
  try {
    response = await fetch("/readyz");
  } catch {
    throw UNREACHABLE;
  }
  const isJson = response.headers.get("content-type")?.includes("json") ?? false;
  const found = isJson ? ((await response.json()) as Partial<Readiness>) : {};
  if (found.parts === undefined) throw answered(response);
  return found as Readiness;
}

export interface StageFigures {
  name: string;
  label: string;
  process: string;
  turns: number;
  p50_ms: number | null;
  p95_ms: number | null;
}

export interface LiveCall {
  call: string;
  avatar: string;
  state: string;
  phase: string | null;
  started_at: string | null;
  quality: {
    fps: number;
    freezes: number;
    concealed_percent: number;
    av_offset_ms: number | null;
  } | null;
  voice_to_face_ms: number | null;
}

export interface Latency {
  turns: number;
  /** The oldest turn of which the stages tell, where there are too many for all; else null. */
  counted_since: string | null;
  live: LiveCall[];
  stages: StageFigures[];
}

export interface TurnRow {
  id: number;
  call: string;
  avatar: string;
  turn: number;
  typed: boolean;
  outcome: string;
  voice_end_at: string;
  voice_to_voice_ms: number | null;
  voice_to_face_ms: number | null;
}

export const getLatency = (hours: number): Promise<Latency> => json(`/api/latency?hours=${hours}`);
export const listTurns = (limit: number): Promise<TurnRow[]> => json(`/api/turns?limit=${limit}`);
export const getTurn = (id: number): Promise<TurnRow & TurnTrace> => json(`/api/turns/${id}`);
