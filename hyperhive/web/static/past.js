// The past: a moment in the address, the dashboard as it stood then, and the track that leads to any other.

import { ask, Locked } from "./ask.js";
import { grouped, showConnection } from "./connection.js";
import { Deck } from "./deck.js";
import { forget, key, onChange, takeFromAddress } from "./key.js";
import { keysOn } from "./keys.js";
import { Live } from "./live.js";
import { askForKey, putAway } from "./login.js";
import { morph } from "./morph.js";
import { parse } from "./parse.js";
import { fill, length, standAt, whole } from "./times.js";

const FIELDS = ["at", "agent", "type", "actor", "text", "causes", "timeline", "span"];
const USUAL = { causes: "tree", timeline: "list", span: "24h" };
const TYPED_MS = 300;
const TOGETHER_MS = 250;

const page = document.getElementById("page");
let me = null;
let view = readAddress(); // what the address says
let latest = view; // the newest view that was asked for
let waits = false; // whether it is still to be shown
let enters = ""; // and how it comes into the address
let running = null;
let typing = null;
let stepping = Promise.resolve();

const deck = new Deck({ onMove: preview, onDrop: (at, isNow) => go({ at: isNow ? "" : new Date(at).toISOString() }) });
const live = new Live("/events", {
  onEvent: (event) => event.touches.includes("bar") && countAnew(),
  onReset: () => countAnew(),
  onState: showState,
  onLocked: locked,
});

function readAddress() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(FIELDS.map((name) => [name, given.get(name) ?? USUAL[name] ?? ""]));
}

/** The part of an address behind the question mark that leads to a view. */
function queryOf(which) {
  const query = new URLSearchParams();
  for (const name of FIELDS) if (which[name] && which[name] !== USUAL[name]) query.set(name, which[name]);
  return query;
}

function asking(which, more = {}) {
  const query = queryOf(which);
  query.set("zone", Intl.DateTimeFormat().resolvedOptions().timeZone);
  query.set("offset", -new Date().getTimezoneOffset());
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return query;
}

function locked(error) {
  live.stop();
  if (error.message) forget();
  askForKey(error.message, begin);
}

function showState(state) {
  document.documentElement.dataset.live = state.name;
  showConnection(live);
}

/** Says what is wrong in the deck; an empty text takes it away. */
function sayWhy(text) {
  const place = document.getElementById("deck-why");
  if (place) place.textContent = text;
}

/** Shows another view, after the one that is on its way; of several that wait only the newest is shown. */
function go(changes, address = "push") {
  latest = { ...latest, ...changes };
  waits = true;
  enters = address === "push" || enters === "push" ? "push" : address;
  running ??= catchUp().finally(() => (running = null));
  return running;
}

async function catchUp() {
  try {
    while (waits) {
      waits = false;
      const address = enters;
      enters = "";
      await show(latest, address);
    }
  } catch (error) {
    latest = view;
    waits = false;
    enters = "";
    if (error instanceof Locked) locked(error);
    else if (page.firstElementChild) {
      sayWhy(error.message);
      if (deck.told) deck.draw(deck.told);
    } else throw error;
  }
}

async function show(next, address) {
  const response = await ask(`/page/past?${asking(next)}`, { headers: { Accept: "text/html" } });
  const told = parse(await response.text());
  const at = told.getElementById("deck").dataset;
  // The address has the position, which means the same to everybody and for ever.
  view = { ...next, at: at.position };
  if (!waits) latest = view;
  standAt(at.moment ? Date.parse(at.moment) : Date.now());
  put(told);
  enter(`/past?${queryOf(view)}`, address);
  document.title = `${at.position} past · ${document.getElementById("bar").dataset.hive}`;
  sayWhy("");
  await drawTrack();
}

/** Writes a view into the address: `push` where one may want to go back from it, `replace`, or not at all. */
function enter(path, address) {
  const same = `${location.pathname}${location.search}` === path;
  if (address === "push" && !same) history.pushState(null, "", path);
  else if (address && !same) history.replaceState(null, "", path);
}

function put(told) {
  if (!page.firstElementChild) page.append(...told.body.childNodes);
  else {
    for (const section of told.querySelectorAll("[data-section]")) {
      const shown = page.querySelector(`[data-section="${CSS.escape(section.dataset.section)}"]`);
      if (shown) morph(shown, section);
    }
    for (const id of ["bar-past", "spent-then"]) {
      const kept = document.getElementById(id);
      const other = told.getElementById(id);
      if (kept && other) kept.replaceChildren(...other.childNodes);
    }
  }
  settle();
}

/** After the page has changed: times, positions, and controls that say what the address says. */
function settle() {
  for (const place of page.querySelectorAll("[data-grouped]")) place.textContent = grouped(place.textContent.trim().replace(/\D/g, ""));
  for (const place of page.querySelectorAll("[data-gone]")) {
    place.textContent = `${length((Date.now() - Date.parse(place.dataset.gone)) / 1_000)} ago`;
  }
  for (const control of page.querySelectorAll("[data-filter]")) {
    if (control !== document.activeElement) control.value = view[control.dataset.filter];
  }
  for (const place of page.querySelectorAll("[data-me]")) place.textContent = me.name;
  let minute = "";
  fill(page);
  for (const time of page.querySelectorAll("#facts time")) {
    time.classList.toggle("same", time.textContent === minute);
    minute = time.textContent;
  }
  showConnection(live);
}

async function drawTrack() {
  deck.into(document.getElementById("track"));
  const response = await ask(`/api/past/track?${asking(view, { width: deck.width })}`);
  const told = await response.json();
  if (deck.dragging) return;
  deck.draw(told);
  if (told.cut) sayWhy(`marks before ${whole(told.cut)} are too many to draw`);
}

/** While the handle is dragged the deck says where it is; the views follow as fast as they come. */
function preview(at, position) {
  const time = page.querySelector("[data-moment]:not(section)");
  if (time) time.textContent = whole(at);
  const place = page.querySelector("#deck [data-grouped]");
  if (place) place.textContent = grouped(position);
  go({ at: new Date(at).toISOString() }, "");
}

/** Goes to the next mark or event, one step after the other however fast the keys are. */
function jump(to, by) {
  stepping = stepping.then(() => step(to, by)).catch((error) => (error instanceof Locked ? locked(error) : sayWhy(error.message)));
}

async function step(to, by) {
  const response = await ask(`/api/past/jump?${asking(view, { to, by })}`);
  const found = await response.json();
  if (found.position !== null) await go({ at: String(found.position) });
  else if (found.looked) sayWhy(`none found down to ${grouped(found.looked)}; go there and search on`);
  else sayWhy(`no ${to} ${by < 0 ? "before" : "after"} this one`);
}

let counting = null;

/** The bar goes on counting what needs somebody now. */
function countAnew() {
  counting ??= setTimeout(async () => {
    counting = null;
    try {
      const response = await ask("/page/past?only=bar", { headers: { Accept: "text/html" } });
      const bar = parse(await response.text()).getElementById("bar");
      const shown = document.getElementById("bar");
      if (bar && shown) morph(shown, bar);
      for (const place of page.querySelectorAll("[data-me]")) place.textContent = me.name;
    } catch (error) {
      if (error instanceof Locked) locked(error);
    }
  }, TOGETHER_MS);
}

async function older(button) {
  button.disabled = true;
  try {
    const before = button.dataset.olderFacts;
    const told = await (await ask(`/api/past/events?${asking(view, { before, limit: 50 })}`)).json();
    if (view.timeline === "json") append(document.getElementById("facts-json"), told.events);
    else document.getElementById("facts").append(...told.events.map(row));
    button.dataset.olderFacts = told.next ?? "";
    button.hidden = told.next === null;
  } finally {
    button.disabled = false;
  }
}

function append(place, events) {
  place.textContent = JSON.stringify([...JSON.parse(place.textContent), ...events], null, 2);
}

function row(event) {
  const item = document.createElement("li");
  item.id = `fact-${event.position}`;
  const time = Object.assign(document.createElement("time"), { className: "small", dateTime: event.at });
  time.dataset.clock = "";
  const link = Object.assign(document.createElement("a"), { href: `/past?at=${event.position}`, title: event.type });
  link.dataset.at = event.position;
  const told = Object.assign(document.createElement("span"), { className: "told", textContent: event.words });
  const position = Object.assign(document.createElement("span"), { className: "small ink3 position" });
  position.textContent = grouped(event.position);
  link.append(told, position);
  item.append(time, link);
  fill(item);
  return item;
}

async function copy(button) {
  let said = "copied";
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    said = "the address bar has it";
  }
  document.getElementById("told").textContent = said;
  button.title = said;
  const words = button.lastChild;
  words.textContent = ` ${said}`;
  setTimeout(() => (words.textContent = " link to this moment"), 2_000);
}

page.addEventListener("click", (event) => {
  const target = event.target.closest?.("[data-at], [data-jump], [data-set], [data-copies], [data-clear], [data-older-facts]");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const { at, jump: to, by, set, value } = target.dataset;
  if (at !== undefined) {
    event.preventDefault();
    go({ at });
  } else if (to) jump(to, Number(by));
  else if (set) go({ [set]: value });
  else if (target.matches("[data-copies]")) copy(target);
  else if (target.matches("[data-clear]")) go({ agent: "", type: "", actor: "", text: "" });
  else older(target);
});

page.addEventListener("change", (event) => {
  const { filter } = event.target.dataset;
  if (filter) go({ [filter]: event.target.value });
});

page.addEventListener("input", (event) => {
  const { filter } = event.target.dataset;
  if (!filter || event.target.matches("select")) return;
  clearTimeout(typing);
  typing = setTimeout(() => go({ [filter]: event.target.value }), TYPED_MS);
});

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  const writes = event.target.matches?.("input, select, textarea");
  if (event.key === "Enter" && event.target.id === "go-to" && event.target.value.trim()) {
    event.preventDefault();
    go({ at: event.target.value.trim() });
    return;
  }
  if (document.getElementById("keys")?.open) return;
  if (event.key === "Escape") {
    event.preventDefault();
    if (writes) event.target.blur();
    else location.assign("/");
  } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && !writes) {
    event.preventDefault();
    jump(event.shiftKey ? "crash" : "event", event.key === "ArrowLeft" ? -1 : 1);
  }
});

addEventListener("popstate", () => {
  const next = readAddress();
  if (queryOf(next).toString() !== queryOf(view).toString()) go(next, "replace");
});

let resized = null;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => deck.told && deck.width !== deck.told.width && drawTrack(), TOGETHER_MS);
});

async function begin() {
  try {
    if (key() === null) throw new Locked("");
    live.start();
    me = await (await ask("/api/me")).json();
    putAway();
    await go({}, "replace");
  } catch (error) {
    if (error instanceof Locked) locked(error);
    else if (error.status) sayWrong(error.message);
    else setTimeout(begin, 1_000);
  }
}

/** An address that leads nowhere: says so, with the way to what there is. */
function sayWrong(text) {
  const main = document.createElement("main");
  main.className = "wrong";
  const why = Object.assign(document.createElement("p"), { className: "why", textContent: text });
  const links = document.createElement("p");
  links.append(Object.assign(document.createElement("a"), { href: "/past", className: "btn", textContent: "newest moment" }), " ");
  links.append(Object.assign(document.createElement("a"), { href: "/", className: "btn ready", textContent: "back to now" }));
  main.append(why, links);
  page.replaceChildren(main);
}

takeFromAddress();
onChange(() => location.reload());
keysOn(document);
setInterval(() => showConnection(live), 1_000);
begin();

