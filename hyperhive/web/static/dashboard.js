// The dashboard: a key, the sections, the stream that says which of them changed, the forms.

import { ask, Locked } from "./ask.js";
import { isAway, settleAway } from "./away.js";
import { shown } from "./first.js";
import { actOn } from "./forms.js";
import { forget, key, onChange } from "./key.js";
import { Live } from "./live.js";
import { askForKey, putAway } from "./login.js";
import { Sections } from "./sections.js";
import { boardOn, settle } from "./board.js";
import { hideConfigs, readConfigs, showConfigs } from "./configs.js";
import { showConnection } from "./connection.js";
import { keysOn } from "./keys.js";
import { hideLogs, showLogs } from "./logs.js";
import { openOn, openerOf } from "./open.js";
import { startCounting } from "./times.js";
import { look, restore, typeOn } from "./typing.js";

const page = document.getElementById("page");
let me = null;

const sections = new Sections(page, "/page/dashboard", { onLocked: locked, onChanged: changed });
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
  const was = isAway();
  document.documentElement.dataset.live = state.name;
  if (was !== isAway()) {
    settleAway(page);
    look(page);
  }
  document.dispatchEvent(new CustomEvent("hive:live", { detail: state }));
  showConnection(live);
}

let restored = false;

function changed(sections) {
  if (sections.some((section) => section.id === "swarm")) readConfigs();
  for (const place of page.querySelectorAll("[data-me]")) place.textContent = me.name;
  showConnection(live);
  if (!restored) restore(page);
  restored = true;
  look(page);
  settleAway(page);
  settle(page);
}

async function begin() {
  try {
    if (key() === null) throw new Locked("");
    // The stream first: what happens while the page is on its way is heard of.
    live.start();
    me = await (await ask("/api/me")).json();
    await sections.start(await shown);
    page.inert = false;
    putAway();
  } catch (error) {
    if (error instanceof Locked) locked(error);
    else setTimeout(begin, 1_000);
  }
}

actOn(document, { onLocked: locked, isConnected: () => !isAway() });
onChange(() => location.reload());
startCounting();
openOn(page, {
  onOpen(element) {
    if (element.matches(".logs")) showLogs(element, openerOf(element).dataset.logs);
    if (element.matches(".configs")) showConfigs(element);
  },
  onClose(element) {
    if (element.matches(".logs")) hideLogs(element);
    if (element.matches(".configs")) hideConfigs(element);
  },
});
typeOn(page);
boardOn(page);
keysOn(document);
setInterval(() => showConnection(live), 1_000);
begin();

export { live, sections };
