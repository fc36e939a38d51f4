import "./styles/base.css";
import "./styles/dialog.css";
import "./styles/home.css";
import "./styles/stage.css";
import "./styles/panels.css";
import "./styles/call.css";
import "./styles/latency.css";
import { doors, Refusal, type Room, type RoomCreated, signIn } from "./api";
import { CallPage } from "./call/call-page";
import { readCallLink } from "./call-link";
import { DashboardPage } from "./dashboard/dashboard-page";
import { HomePage } from "./home/home-page";
import { readKeyLink } from "./key-link";
import { KeyPage } from "./key-page";

/** A page that is shown: its element, and how to leave it. */
export interface Page {
  readonly element: HTMLElement;
  leave(): void;
}

const root = document.getElementById("app") as HTMLElement;
let shown: Page | null = null;

function show(page: Page, title: string): void {
  shown?.leave();
  shown = page;
  document.title = title;
  root.replaceChildren(page.element);
  window.scrollTo(0, 0);
}

function showHome(): void {
  show(new HomePage(startCall), "X-Streamer");
}

function goHome(): void {
  history.pushState(null, "", "/");
  showHome();
}

/** From the home page: the click was the consent, so the call joins at once. */
function startCall(created: RoomCreated, room: Room): void {
  const url = new URL(created.call_url);
  history.pushState(null, "", `${url.pathname}${url.hash}`);
  const link = { room: created.room, token: created.token, joinNow: true };
  show(new CallPage(link, goHome, room), `${room.avatar.name} · X-Streamer`);
}

function route(): void {
  const link = readCallLink(new URL(location.href));
  if (location.pathname === "/dashboard") show(new DashboardPage(), "Latency · X-Streamer");
  else if (link === null) showHome();
  else show(new CallPage(link, goHome, null), "Call · X-Streamer");
}

function askForKey(refused: Refusal | null = null): void {
  if (refused === null && shown instanceof KeyPage) return;
  show(new KeyPage(route, refused), "Key · X-Streamer");
}

/** An address with a key signs in first; one that is refused says so. */
async function enter(): Promise<void> {
  const link = readKeyLink(new URL(location.href));
  if (link === null) {
    route();
    return;
  }
  history.replaceState(null, "", link.rest);
  try {
    await signIn(link.key);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    askForKey(error);
    return;
  }
  route();
}

doors.addEventListener("closed", () => askForKey());
window.addEventListener("popstate", route);
window.addEventListener("hashchange", () => {
  if (readKeyLink(new URL(location.href))) void enter();
});
void enter();
