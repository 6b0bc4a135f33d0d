// Small behaviours of the dashboard, done again whenever some of it has changed.

import { ask } from "./ask.js";
import { goTo } from "./keys.js";
import { showMoved } from "./morph.js";
import { closeGaps, olderOn } from "./older.js";
import { writeTo } from "./typing.js";

const STAYS_MS = 30_000;
const HIDDEN = "hyperhive.hidden.";

let asked = null; // the ask that had the focus last
const looks = new Map(); // what each row last said, by id

/** Takes over the root of the dashboard. */
export function boardOn(root) {
  root.addEventListener("focusin", (event) => {
    asked = event.target.closest?.("[data-ask]")?.id ?? null;
  });
  root.addEventListener("change", (event) => {
    if (event.target.id === "activity-about") filter();
  });
  root.addEventListener("click", (event) => {
    const agent = event.target.closest?.("a[data-agent]");
    if (agent && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      openAgent(agent);
    }
    const target = event.target.closest?.("[data-writes], [data-hides]");
    if (target?.dataset.writes) writeTo(target.dataset.writes);
    if (target?.dataset.hides) hide(target.dataset.hides);
    const showing = event.target.closest?.("[data-shows-moved]");
    if (showing) showMoved(showing.closest("[data-moved]"));
  });
  root.addEventListener("hive:urgency", (event) => tellLeft(event.target, event.detail));
  root.addEventListener("hive:moved", (event) => sayMoved(event.target, event.detail));
  olderOn(root, filter);
  setInterval(passing, 1_000);
}

/** After the page has changed. */
export function settle(root) {
  for (const section of root.querySelectorAll("[data-client][id]")) {
    if (localStorage.getItem(HIDDEN + section.id)) section.hidden = true;
  }
  filter();
  passing();
  closeGaps(root, filter);
  washes(root);
  count();
  if (asked !== null && !document.getElementById(asked)) moveOn();
}

/** Whoever was at an ask that is gone goes on with the next one. */
function moveOn() {
  asked = null;
  if (document.activeElement && document.activeElement !== document.body) return;
  const next = document.querySelector("[data-ask]");
  if (next) next.focus();
  else goTo("questions");
}

/** Says what moved while somebody looked; approving waits until the new diff is shown. */
function sayMoved(ask, { was, is }) {
  const part = (shown, at) => shown.split(":")[at].slice(0, 7) || "nothing";
  const of = was.split(":")[0] === is.split(":")[0] ? 1 : 0;
  let said = ask.querySelector("[data-stale]");
  if (!said) {
    said = document.createElement("div");
    said.dataset.stale = "";
    said.setAttribute("role", "alert");
    const words = document.createElement("p");
    words.className = "ink";
    const button = Object.assign(document.createElement("button"), {
      type: "button",
      className: "btn main",
      textContent: "show the new diff",
    });
    button.dataset.showsMoved = "";
    said.append(words, button);
    ask.querySelector(".what").prepend(said);
  }
  said.querySelector("p").textContent =
    `the ${of ? "base" : "commit"} moved from ${part(was, of)} to ${part(is, of)} while you looked. read the new diff, then decide.`;
}

/** What has ended stays half a minute, or while the pointer is on it. */
function passing() {
  const now = Date.now();
  for (const over of document.querySelectorAll("[data-over]")) {
    const fresh = now - Date.parse(over.dataset.over) < STAYS_MS;
    const hidden = !fresh && !over.matches(":hover, :focus-within");
    if (over.hidden !== hidden) over.hidden = hidden;
  }
}

/** Shows the time once per minute, a line where another day begins, and only what was asked for. */
function filter() {
  const [by, wanted] = (document.getElementById("activity-about")?.value ?? "").split(":");
  for (const day of document.querySelectorAll("#activity .day")) day.remove();
  let minute = "";
  let day = new Date().toDateString();
  for (const row of [...document.querySelectorAll("#facts > li, #older-facts > li")]) {
    const shown = !by || (by === "kind" ? row.dataset.kind === wanted : row.dataset.about === wanted);
    row.hidden = !shown;
    if (!shown) continue;
    const at = new Date(row.dataset.at);
    const time = row.querySelector("time");
    const clock = `${at.toDateString()} ${at.getHours()}:${at.getMinutes()}`;
    time.classList.toggle("same", clock === minute);
    minute = clock;
    if (at.toDateString() !== day) row.before(dayLine(at));
    day = at.toDateString();
  }
}

function dayLine(at) {
  const line = document.createElement("li");
  line.className = "day";
  const yesterday = new Date(Date.now() - 86_400_000).toDateString() === at.toDateString();
  line.textContent = yesterday
    ? "yesterday"
    : at.toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" }).toLowerCase();
  return line;
}

/** A row that says something else than before is washed for a moment. */
function washes(root) {
  for (const row of root.querySelectorAll("[data-row], .letters:not(#older-mail) > .letter, .ask[data-ask], #facts > li[id]")) {
    const says = [...row.querySelectorAll(".agent, .c-state > :first-child, .words, .badge, .body, .question, .told")]
      .map((part) => part.textContent)
      .join("\n");
    const before = looks.get(row.id);
    if (before !== says) {
      looks.set(row.id, says);
      if (looks.size > 2_000) looks.clear();
      if (begun) row.classList.add("fresh");
    }
  }
  begun = true;
}
let begun = false;

function count() {
  const bar = document.getElementById("bar");
  if (!bar) return;
  const needs = Number(bar.dataset.needs);
  document.title = `${needs ? `(${needs}) ` : ""}${bar.dataset.hive}`;
  const told = document.getElementById("told");
  const text = [...bar.querySelectorAll(".needs a:not(.swarm-link)")].map((link) => link.textContent.trim()).join(", ");
  if (told.dataset.said !== text) {
    told.dataset.said = text;
    told.textContent = text || "nothing needs you";
  }
}

const LEFT = { near: "10 minutes left to answer", now: "1 minute left to answer", over: "no time left to answer" };
let telling = [];

/** Says to whoever listens that a question's time runs out; what happens in the same moment is said together. */
function tellLeft(element, urgency) {
  if (!LEFT[urgency]) return;
  telling.push(`${element.closest("[data-ask]").id}: ${LEFT[urgency]}`);
  if (telling.length > 1) return;
  queueMicrotask(() => {
    document.getElementById("told-left").textContent = telling.join(", ");
    telling = [];
  });
}

/** Opens an agent's page in a new tab, with a key that opens that page and nothing else. */
async function openAgent(link) {
  let url = link.href;
  try {
    url = (await (await ask(`/api/agent-key/${encodeURIComponent(link.dataset.agent)}`, { method: "POST" })).json()).url;
  } catch {
    // The page below this origin asks for a key by itself, or says what is wrong.
  }
  const way = document.createElement("a");
  Object.assign(way, { href: url, target: "_blank", rel: "noopener noreferrer" });
  way.click();
}

function hide(id) {
  localStorage.setItem(HIDDEN + id, "1");
  document.getElementById(id).hidden = true;
}
