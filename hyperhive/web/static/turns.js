// The stream of an agent's turns: pages of it from the newest backwards, and what comes live, each entry once.

import { ask, Locked } from "./ask.js";
import { morph } from "./morph.js";
import { parse } from "./parse.js";
import { fill, length } from "./times.js";

const PHONE = matchMedia("(max-width: 600px)");
const NEAR_PX = 48; // so near to its end the stream is followed
const OLDER_PX = 600; // so near to its beginning what is before is fetched
const MOST_ENTRIES = 1_200; // while it is followed; what is dropped from the page comes again when somebody scrolls up
const RUN_SHOWN = 2;
const RUN_LEAST = 5; // so many calls in a row, of a turn that has ended, are folded

export class Turns {
  /** `onLocked(error)`; `onErrors(count)` hears how many errors the stream has. */
  constructor(base, { onLocked = () => {}, onErrors = () => {} } = {}) {
    Object.assign(this, { base, onLocked, onErrors });
    this.kind = "";
    this.query = "";
    this.first = 0;
    this.last = 0;
    this.newer = 0;
    this.following = true;
    this.work = Promise.resolve();
    this.generation = 0;
  }

  get place() {
    return document.getElementById("stream");
  }

  /** Fetches the newest page, in the place of whatever is there. Throws what `ask` throws. */
  async start() {
    const generation = (this.generation += 1);
    const told = await this.fetch({});
    if (generation !== this.generation) return;
    this.place.replaceChildren();
    this.count(0);
    this.first = told.first;
    this.last = told.last;
    this.insert(told, { live: false });
    if (this.following) this.toEnd();
    document.getElementById("nothing").hidden = this.place.firstElementChild !== null;
    document.getElementById("nothing").textContent = this.isFiltered
      ? "nothing of that in what is kept of the stream."
      : "no turn yet. write something below, and it begins one.";
    this.showOlder();
  }

  get isFiltered() {
    return this.kind !== "" || this.query !== "";
  }

  /** Shows only entries of a kind, or with a text in them. */
  filter({ kind = this.kind, query = this.query }) {
    if (kind === this.kind && query === this.query) return;
    Object.assign(this, { kind, query });
    this.then(() => this.start());
  }

  /** Takes in what has come since; called as often as anything has. */
  pull() {
    if (this.pulling) {
      this.again = true;
      return;
    }
    this.pulling = true;
    this.then(async () => {
      do {
        this.again = false;
        const generation = this.generation;
        const told = await this.fetch({ after: this.last });
        if (generation !== this.generation) break;
        const more = told.last > this.last;
        this.last = Math.max(this.last, told.last);
        this.insert(told, { live: true });
        if (more) this.again = true;
      } while (this.again);
    }).finally(() => {
      this.pulling = false;
    });
  }

  older() {
    if (!this.first || this.fetching) return;
    this.fetching = true;
    this.then(async () => {
      const generation = this.generation;
      const told = await this.fetch({ before: this.first });
      if (generation !== this.generation) return;
      const anchor = this.place.firstElementChild;
      const top = anchor?.getBoundingClientRect().top;
      this.first = told.first;
      this.insert(told, { live: false });
      if (anchor) scrollBy(0, anchor.getBoundingClientRect().top - top);
      this.showOlder();
    }).finally(() => {
      this.fetching = false;
    });
  }

  /** One thing at a time, in order; what fails is tried again with the next one. */
  then(step) {
    this.work = this.work.then(step).catch((error) => {
      if (error instanceof Locked) this.onLocked(error);
    });
    return this.work;
  }

  async fetch(wanted) {
    const given = new URLSearchParams({ kind: this.kind, q: this.query });
    for (const [name, value] of Object.entries(wanted)) given.set(name, value);
    const response = await ask(`${this.base}/stream?${given}`, { headers: { Accept: "text/html" } });
    const slice = parse(await response.text()).querySelector(".slice");
    this.onErrors(Number(slice.dataset.errors));
    return { slice, first: Number(slice.dataset.first), last: Number(slice.dataset.last) };
  }

  insert({ slice }, { live }) {
    let fresh = 0;
    for (const part of [...slice.children]) {
      if (part.matches("header.turn")) this.putHead(part);
      else if (!document.getElementById(part.id) && this.putEntry(part)) fresh += 1;
    }
    if (this.isFiltered) this.dropHeads(() => true);
    this.settle();
    fill(this.place);
    if (!live) return;
    if (this.following) {
      this.trim();
      this.toEnd();
    } else if (fresh) this.count(this.newer + fresh);
    if (fresh) document.getElementById("nothing").hidden = true;
  }

  putHead(head) {
    const shown = document.getElementById(head.id);
    if (shown) {
      morph(shown, head);
      return;
    }
    const number = Number(head.dataset.turn);
    const before = this.lastWhere((each) => Number(each.dataset.turn ?? 0) < number);
    before ? before.after(head) : this.place.prepend(head);
  }

  /** Puts an entry where it belongs; returns whether it stands there by itself. */
  putEntry(entry) {
    const lone = entry.querySelector("[data-of-tool]");
    const call = lone && this.place.querySelector(`[data-tool="${CSS.escape(lone.dataset.ofTool)}"]`);
    if (call) {
      finish(call, lone);
      return false;
    }
    const turn = Number(entry.dataset.turn ?? 0);
    const before = this.lastWhere((each) =>
      each.matches("header.turn") ? Number(each.dataset.turn) <= turn : precedes(each, entry),
    );
    before ? before.after(entry) : this.place.prepend(entry);
    // A call that comes with an older page than its result: they belong together.
    const tool = entry.querySelector("[data-tool]");
    const orphan = tool && this.place.querySelector(`[data-of-tool="${CSS.escape(tool.dataset.tool)}"]`);
    if (orphan) {
      finish(tool, orphan);
      orphan.closest(".entry").remove();
    }
    return true;
  }

  lastWhere(fits) {
    let each = this.place.lastElementChild;
    while (each && !fits(each)) each = each.previousElementSibling;
    return each;
  }

  /** Takes away the heads of turns that have nothing here. */
  dropHeads(fits) {
    const inhabited = new Set([...this.place.querySelectorAll(".entry")].map((entry) => entry.dataset.turn));
    for (const head of this.place.querySelectorAll("header.turn")) {
      if (!inhabited.has(head.dataset.turn) && fits(head)) head.remove();
    }
  }

  /** What follows from the order: each minute's time once, calls counted and folded, those that nobody ends marked. */
  settle() {
    let minute = "";
    const calls = new Map();
    for (const part of this.place.children) {
      if (part.matches("header.turn")) {
        minute = "";
        continue;
      }
      const time = part.querySelector(":scope > time");
      const now = time?.dateTime.slice(0, 16) ?? "";
      part.toggleAttribute("data-same", now === minute);
      minute = now;
      if (part.matches(".is-tool")) calls.set(part.dataset.turn, (calls.get(part.dataset.turn) ?? 0) + 1);
    }
    for (const head of this.place.querySelectorAll("header.turn")) {
      const count = calls.get(head.dataset.turn);
      const place = head.querySelector("[data-tools]");
      if (place) place.textContent = count ? `, ${count} ${count === 1 ? "tool" : "tools"}` : "";
    }
    for (const ends of this.place.querySelectorAll("[data-ends].mauve")) {
      const head = document.getElementById(`turn-${ends.closest(".entry").dataset.turn}`);
      if (!head?.hasAttribute("data-ended")) continue;
      ends.className = "ends ink3";
      ends.textContent = "no result";
    }
    for (const tool of this.place.querySelectorAll("[data-tool]")) took(tool);
    this.fold();
  }

  /** Folds the rest of a long run of calls that went well, in turns that have ended. */
  fold() {
    if (this.isFiltered) return;
    let run = [];
    const close = () => {
      if (run.length >= RUN_LEAST) foldRun(run.slice(RUN_SHOWN));
      run = [];
    };
    for (const part of [...this.place.children, null]) {
      const head = part?.dataset.turn && document.getElementById(`turn-${part.dataset.turn}`);
      const folds =
        part?.matches(".is-tool:not([data-failed], [data-folded], [data-unfolded])") &&
        head?.hasAttribute("data-ended") &&
        !part.querySelector("details[open]") &&
        !part.contains(document.activeElement);
      if (folds) run.push(part);
      else close();
    }
  }

  trim() {
    const entries = this.place.querySelectorAll(".entry");
    if (entries.length <= MOST_ENTRIES) return;
    for (const entry of [...entries].slice(0, entries.length - MOST_ENTRIES)) entry.remove();
    this.dropHeads((head) => head.hasAttribute("data-ended"));
    this.first = Number(this.place.querySelector(".entry")?.dataset.event ?? this.first);
    this.showOlder();
  }

  showOlder() {
    document.getElementById("older").hidden = !this.first;
  }

  // Following

  follow(following) {
    this.following = following;
    document.getElementById("follow").checked = following;
    if (following) {
      this.count(0);
      this.toEnd();
    }
  }

  toEnd() {
    this.jumping = true;
    scrollTo(0, document.documentElement.scrollHeight);
    requestAnimationFrame(() => (this.jumping = false));
  }

  count(newer) {
    this.newer = newer;
    const place = document.getElementById("newer");
    place.hidden = newer === 0;
    place.querySelector("button").textContent = `${newer} newer ↓`;
  }

  onScroll() {
    const left = document.documentElement.scrollHeight - scrollY - innerHeight;
    if (!this.jumping) {
      const near = left < NEAR_PX;
      if (near !== this.following) this.follow(near);
    }
    // On a phone the row of tools stands above the oldest entry: what comes by itself would keep one from ever getting there.
    if (scrollY < OLDER_PX && !this.following && !PHONE.matches) this.older();
  }
}

function precedes(shown, entry) {
  const [one, other] = [Number(shown.dataset.event), Number(entry.dataset.event)];
  return one < other || (one === other && placeOf(shown) < placeOf(entry));
}

function placeOf(entry) {
  return entry.id ? Number(entry.id.split("-")[1]) : -1;
}

function finish(call, lone) {
  const failed = lone.querySelector(".failed") !== null;
  call.querySelector("[data-ends]").replaceWith(lone.querySelector("[data-ends]"));
  call.querySelector("[data-result]").replaceWith(lone.querySelector("[data-result]"));
  call.querySelector(".io").classList.toggle("failed", failed);
  if (failed) {
    call.open = true;
    call.closest(".entry").dataset.failed = "";
  }
  took(call);
}

/** How long a call took: from its message to its result's. */
function took(tool) {
  const place = tool.querySelector("[data-took]");
  const result = tool.querySelector("[data-result-at]");
  if (!place || !result || place.textContent) return;
  const seconds = Math.max(0, (Number(result.dataset.resultAt) - Number(tool.dataset.toolAt)) / 1_000_000);
  const words = place.previousElementSibling?.textContent ? ", " : "";
  place.textContent = `${words}${seconds < 10 ? `${seconds.toFixed(1)}s` : length(seconds)}`;
}

function foldRun(run) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "verb";
  button.dataset.more = "";
  button.textContent = `${run.length} more tools ▸`;
  const entry = document.createElement("article");
  entry.className = "entry is-more";
  Object.assign(entry.dataset, { turn: run[0].dataset.turn ?? "", same: "", event: run[0].dataset.event });
  entry.append(document.createElement("time"), button);
  run[0].before(entry);
  for (const each of run) {
    each.dataset.folded = "";
    each.hidden = true;
  }
  button.addEventListener("click", () => {
    for (const each of run) {
      each.hidden = false;
      delete each.dataset.folded;
      each.dataset.unfolded = "";
    }
    run[0].querySelector("summary")?.focus();
    entry.remove();
  });
}
