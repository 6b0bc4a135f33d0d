// The dashboard: a key, the sections, the stream that says which of them changed, the forms.

import { ask, Locked } from "./ask.js";
import { actOn } from "./forms.js";
import { forget, key, onChange, takeFromAddress } from "./key.js";
import { Live } from "./live.js";
import { askForKey, putAway } from "./login.js";
import { Sections } from "./sections.js";
import { startCounting } from "./times.js";

const page = document.getElementById("page");
let me = null;

const sections = new Sections(page, "/page/dashboard", { onLocked: locked, onChanged: showWho });
const live = new Live("/events", {
  onEvent: (event) => sections.touch(event.touches),
  onReset: () => sections.touch(null),
  onState: showState,
  onLocked: locked,
});

function locked(error) {
  live.stop();
  sections.stop();
  if (error.message) forget();
  askForKey(error.message, begin);
}

/** Says on the page how the connection stands; `html[data-live]` is there for styles. */
function showState(state) {
  document.documentElement.dataset.live = state.name;
  document.dispatchEvent(new CustomEvent("hive:live", { detail: state }));
  for (const place of page.querySelectorAll("[data-live-state]")) place.textContent = state.name;
}

function showWho() {
  for (const place of page.querySelectorAll("[data-me]")) place.textContent = me.name;
  showState(live.state);
}

async function begin() {
  try {
    if (key() === null) throw new Locked("");
    // The stream first: what happens while the page is on its way is heard of.
    live.start();
    me = await (await ask("/api/me")).json();
    await sections.start();
    putAway();
  } catch (error) {
    if (error instanceof Locked) locked(error);
    else setTimeout(begin, 1_000);
  }
}

takeFromAddress();
actOn(document, { onLocked: locked, isConnected: () => live.state.name !== "disconnected" });
onChange(() => location.reload());
startCounting();
begin();

export { live, sections };
