// An agent's page: below /agent/NAME/ of the hive's own origin, or at the root of the agent's own port.

import { ask, Locked } from "./ask.js";
import { isAway, settleAway } from "./away.js";
import { Dock } from "./dock.js";
import { actOn } from "./forms.js";
import { glyph } from "./glyphs.js";
import { Journal } from "./journal.js";
import { list } from "./keys.js";
import { forget, key, onChange, takeFromAddress } from "./key.js";
import { Live } from "./live.js";
import { askForKey, putAway } from "./login.js";
import { Sections } from "./sections.js";
import { length, startCounting } from "./times.js";
import { Turns } from "./turns.js";

const SEARCH_MS = 250;
const page = document.getElementById("page");
const own = location.pathname === "/";
const base = own ? "" : location.pathname.replace(/\/$/, "");
const how = own ? "open this page from the dashboard" : undefined;

const sections = new Sections(page, `${base}/page`, { onLocked: locked, onChanged: changed });
const turns = new Turns(base, { onLocked: locked, onErrors: showErrors });
const journal = new Journal(base);
const dock = new Dock();
// The bar takes two lines where it has much to say; what is sticky below it has to know.
const bars = new ResizeObserver(([{ target }]) => {
  document.documentElement.style.setProperty("--bar", `${target.offsetHeight}px`);
});
let connected = false;
const live = new Live(`${base}/events?brief=1`, { onEvent, onReset, onState: showState, onLocked: locked });

function onEvent(told) {
  if (!told.touches) {
    turns.pull();
    return;
  }
  sections.touch(told.touches.filter((name) => name !== "stream"));
  if (told.touches.includes("stream")) turns.pull();
}

/** The stream begins anew: its file was wiped. */
function onReset() {
  turns.then(() => turns.start());
  sections.touch(null);
}

function showState(state) {
  const is = state.name !== "disconnected";
  document.documentElement.dataset.live = state.name;
  settleAway(page);
  if (is && !connected) {
    // Whatever was missed is asked for.
    sections.touch(null);
    if (page.firstElementChild) turns.pull();
  }
  connected = is;
  showConnection();
}

function showConnection() {
  const place = page.querySelector("[data-connection]");
  if (!place) return;
  if (live.state.name !== "disconnected") {
    if (place.firstChild) place.replaceChildren();
    return;
  }
  const gone = length((Date.now() - live.state.since) / 1_000);
  const left = live.state.nextTry ? Math.max(0, Math.ceil((live.state.nextTry - Date.now()) / 1_000)) : 0;
  if (!place.firstChild) {
    const label = Object.assign(document.createElement("span"), { className: "mono red" });
    label.append(glyph("cross"), " disconnected ", Object.assign(document.createElement("span"), { className: "gone" }));
    const button = Object.assign(document.createElement("button"), { type: "button", className: "verb strong", textContent: "try now" });
    button.addEventListener("click", () => live.tryNow());
    place.append(label, button);
  }
  place.querySelector(".gone").textContent = `${gone}, again in ${left} s`;
}

function changed() {
  const bar = document.getElementById("bar");
  bars.observe(bar);
  document.title = `${bar.dataset.agent}: ${bar.dataset.state}`;
  // What a morph leaves chosen is what was chosen in the page; what holds is what the daemon says.
  const model = document.getElementById("model-name");
  if (model?.dataset.chosen !== undefined && document.activeElement !== model) model.value = model.dataset.chosen;
  const told = document.getElementById("told");
  if (told && told.textContent !== bar.dataset.state) told.textContent = bar.dataset.state;
  const when = page.querySelector("[data-when]");
  if (when) when.textContent = page.querySelector(".waiting")?.dataset.runs === "yes" ? "read after this turn" : "read at once";
  // The buttons of what is open say so, also after they were written anew.
  for (const opener of page.querySelectorAll("[data-opens]")) show(opener, isOpen(opener.dataset.opens));
  if (!page.querySelector("[data-opens=inbox]")) document.getElementById("inbox").hidden = true;
  showConnection();
  settleAway(page);
  if (turns.following && turns.last) turns.toEnd();
}

function showErrors(count) {
  const place = page.querySelector("[data-errors]");
  if (place) place.textContent = count || "";
}

// What opens in place

function isOpen(id) {
  const element = document.getElementById(id);
  return id === "rail" ? element.classList.contains("open") : !element.hidden;
}

function show(opener, open) {
  opener.setAttribute("aria-expanded", String(open));
  opener.querySelector("use")?.setAttribute("href", open ? "#g-open" : "#g-closed");
}

function toggle(id, open = !isOpen(id)) {
  const element = document.getElementById(id);
  if (id === "rail") element.classList.toggle("open", open);
  else element.hidden = !open;
  if (id === "journal") open ? journal.open() : journal.close();
  for (const opener of page.querySelectorAll(`[data-opens="${id}"]`)) show(opener, open);
}

function onClick(event) {
  const opener = event.target.closest("[data-opens]");
  if (opener) toggle(opener.dataset.opens);
  const kind = event.target.closest("[data-kind][aria-pressed]");
  if (kind) choose(kind);
  const all = event.target.closest("[data-all]");
  if (all) unfold(all);
  const link = event.target.closest("[data-turn-link]");
  if (link) {
    event.preventDefault();
    turns.follow(false);
    document.getElementById(`turn-${link.dataset.turnLink}`)?.scrollIntoView({ block: "start" });
  }
  if (event.target.closest("#newer button")) turns.follow(true);
  if (event.target.closest("#older button")) turns.older();
  if (event.target.closest("[data-keys]")) list();
}

function choose(chosen) {
  for (const button of page.querySelectorAll("[data-kind][aria-pressed]")) {
    button.setAttribute("aria-pressed", String(button === chosen));
  }
  turns.filter({ kind: chosen.dataset.kind });
}

/** Brings the rest of a text that is shown shortened. */
async function unfold(button) {
  const { all, of } = button.dataset;
  button.disabled = true;
  try {
    const response = await ask(`${base}/stream/text?${new URLSearchParams({ entry: all, of })}`, { headers: { Accept: "text/plain" } });
    const whole = Object.assign(document.createElement("pre"), { textContent: await response.text(), tabIndex: 0 });
    const shortened = button.previousElementSibling;
    whole.className = `whole ${shortened.matches("pre") ? shortened.className : ""}`;
    shortened.replaceWith(whole);
    button.closest(".result")?.querySelector(".cut-at")?.remove();
    button.remove();
  } catch (error) {
    button.disabled = false;
    button.title = error.message;
    button.textContent = `not read: ${error.message}`;
  }
}

function onKey(event) {
  const keys = document.getElementById("keys");
  if (keys.open && event.key !== "?") return;
  if (event.key === "Escape" && !event.isComposing) {
    const find = document.getElementById("find");
    if (dock.close()) return;
    if (find?.value) search("");
    else if (isOpen("inbox")) toggle("inbox", false);
    else if (isOpen("journal")) toggle("journal", false);
    else if (isOpen("rail")) toggle("rail", false);
    else dock.escape();
    return;
  }
  const writing = event.target.matches?.("textarea, select, input:not([type=checkbox])");
  if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("find").focus();
  } else if (event.key === "?") list();
}

let searching;

function search(query) {
  document.getElementById("find").value = query;
  clearTimeout(searching);
  turns.filter({ query: query.trim() });
}

function listen() {
  page.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  document.addEventListener("scroll", () => turns.onScroll(), { passive: true });
  // At the very top nothing scrolls any more, and whoever turns the wheel wants what is before.
  document.addEventListener("wheel", () => requestAnimationFrame(() => turns.onScroll()), { passive: true });
  page.addEventListener("input", (event) => {
    if (event.target.id !== "find") return;
    clearTimeout(searching);
    searching = setTimeout(() => turns.filter({ query: event.target.value.trim() }), SEARCH_MS);
  });
  page.addEventListener("change", (event) => {
    if (event.target.id === "model-name") event.target.form.requestSubmit();
    if (event.target.id === "follow") turns.follow(event.target.checked);
  });
  // What grows at the bottom pushes the stream up and covers nothing of it.
  const dock = document.getElementById("dock");
  let height = dock.offsetHeight;
  new ResizeObserver(() => {
    const grown = dock.offsetHeight - height;
    height = dock.offsetHeight;
    if (turns.following) turns.toEnd();
    else if (grown > 0) scrollBy(0, grown);
  }).observe(dock);
}

function locked(error) {
  live.stop();
  sections.stop();
  journal.close();
  if (error.message) forget();
  askForKey(error.message, begin, how);
}

let begun = false;

async function begin() {
  try {
    if (key() === null) throw new Locked("");
    await sections.start();
    putAway();
    if (!begun) {
      begun = true;
      dock.start();
      listen();
    }
    await turns.start();
    live.start(turns.last);
  } catch (error) {
    if (error instanceof Locked) locked(error);
    else if (error.status === 404) page.textContent = error.message;
    else setTimeout(begin, 1_000);
    if (error.status === 404) putAway();
  }
}

takeFromAddress();
actOn(document, { onLocked: locked, isConnected: () => !isAway() });
onChange(() => location.reload());
startCounting();
setInterval(showConnection, 1_000);
begin();
