/** The address of a call: /call/<room>#token=<token>[&join=now]. The token never leaves the browser. */

export interface CallLink {
  room: string;
  token: string;
  /** Join at once; the microphone opens without a click, so only our own pages ask for it. */
  joinNow: boolean;
}

export function readCallLink(url: URL): CallLink | null {
  const room = /^\/call\/([^/]+)$/.exec(url.pathname)?.[1];
  if (room === undefined) return null;
  const fragment = new URLSearchParams(url.hash.slice(1));
  return {
    room: decodeURIComponent(room),
    token: fragment.get("token") ?? "",
    joinNow: fragment.get("join") === "now",
  };
}
