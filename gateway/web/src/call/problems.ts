/** What can go wrong in a call, in words that say what to do. */

export interface Problem {
  id: string;
  title: string;
  hint: string;
  /** What the button beside it does, if there is one. */
  action: "retry-microphone" | "retry-camera" | "rejoin" | "home" | null;
}

export const AGENT_MISSING: Problem = {
  id: "agent-missing",
  title: "Nobody picks up yet",
  hint: "The agent that plays the avatar did not come. It is asked again by itself; if this stays, /readyz on this server names the part that is not running.",
  action: null,
};

export const MESSAGE_LOST: Problem = {
  id: "message-lost",
  title: "What you typed did not arrive",
  hint: "Send it once more when the avatar is back; it waits in the text box, unless you are typing there.",
  action: null,
};

export const CONNECTION_LOST: Problem = {
  id: "connection-lost",
  title: "The connection was lost",
  hint: "Check the network of this device, then join again.",
  action: "rejoin",
};

export const TAKEN_ELSEWHERE: Problem = {
  id: "taken-elsewhere",
  title: "The call goes on elsewhere",
  hint: "It was opened in another window or on another device. Join again to continue here.",
  action: "rejoin",
};

export const CALL_OVER: Problem = {
  id: "call-over",
  title: "This call is over",
  hint: "It has ended, or its link has expired.",
  action: "home",
};

export const CALL_ENDED_ELSEWHERE: Problem = {
  id: "call-ended",
  title: "The call was ended",
  hint: "The other side or the server ended it.",
  action: "home",
};

/** The devices that the caller lends the call. */
export type Device = "microphone" | "camera";

const MEANWHILE: Record<Device, string> = {
  microphone: "You can type in the meantime.",
  camera: "The call goes on without it.",
};

export function deviceProblem(device: Device, error: unknown, secureContext: boolean): Problem {
  const meanwhile = MEANWHILE[device];
  const action = `retry-${device}` as const;
  const name = error instanceof Error ? error.name : "";
  if (!secureContext) {
    return {
      id: `${device}-insecure`,
      title: `The ${device} needs HTTPS`,
      hint: `Browsers give pages from other machines a ${device} only over HTTPS. Start X-Streamer with --tls and open the https:// address. ${meanwhile}`,
      action: null,
    };
  }
  if (name === "NotAllowedError" || name === "SecurityError") {
    return {
      id: `${device}-denied`,
      title: `The ${device} is blocked`,
      hint: `Allow it for this page, usually with the icon at the left of the address, then try again. ${meanwhile}`,
      action,
    };
  }
  if (name === "NotFoundError" || name === "OverconstrainedError") {
    return {
      id: `${device}-missing`,
      title: `There is no ${device}`,
      hint: `Connect one and try again. ${meanwhile}`,
      action,
    };
  }
  if (name === "NotReadableError" || name === "AbortError") {
    return {
      id: `${device}-busy`,
      title: `The ${device} does not start`,
      hint: `Another program may be using it. Close that and try again. ${meanwhile}`,
      action,
    };
  }
  return {
    id: device,
    title: `The ${device} does not work`,
    hint: `${error instanceof Error ? error.message : String(error)}. ${meanwhile}`,
    action,
  };
}

/** Every problem that a device may have: all are over once it works, or is switched off. */
export function deviceProblemIds(device: Device): string[] {
  return ["", "-busy", "-denied", "-insecure", "-missing"].map((kind) => device + kind);
}

/** Why joining failed. `refused`: the server answered, but did not take the token. */
export function joinProblem(refused: boolean, message: string): Problem {
  if (refused) return CALL_OVER;
  return {
    id: "join-failed",
    title: "The call could not be joined",
    hint: `The media server does not answer (${message}). Check that X-Streamer still runs and that no firewall stands between.`,
    action: "rejoin",
  };
}
