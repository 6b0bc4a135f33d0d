// The sections of a page: fetched again when they were touched, several at once, never two fetches at a time.

import { ask, Locked } from "./ask.js";
import { morph } from "./morph.js";
import { parse } from "./parse.js";
import { fill } from "./times.js";

const TOGETHER_MS = 60; // what happens within this is fetched together
const QUIET_MS = 5_000;
const PENDING_MS = 2_000;
const SOON_MS = 250; // something is being read, and there in a moment

export class Sections {
  /** `path` gives the whole page, `path?only=a,b` some of its sections. */
  constructor(root, path, { onLocked = () => {}, onChanged = () => {} } = {}) {
    Object.assign(this, { root, path, onLocked, onChanged });
    this.touched = new Set();
    this.etags = new Map();
    this.running = false;
  }

  /** Fetches the whole page into the root, unless what stands there (of this ETag) is that; then refreshes without
   * traffic. Throws what `ask` throws. */
  async start(etag = null) {
    if (etag !== null && !this.etags.size) {
      this.etags.set(this.path, etag);
      this.onChanged([...this.root.querySelectorAll("[data-section]")]);
    }
    await this.fetch(null);
    this.running = true;
    this.schedule();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
    clearTimeout(this.fallback);
    this.timer = null;
  }

  /** Says that these sections may have changed; null for all of them. */
  touch(names) {
    if (names === null) this.touched = new Set([null]);
    else if (!this.touched.has(null)) for (const name of names) this.touched.add(name);
    if (this.timer == null && !this.busy && this.running) this.timer = setTimeout(() => this.refresh(), TOGETHER_MS);
  }

  schedule() {
    clearTimeout(this.fallback);
    if (!this.running) return;
    const has = (mark) => this.root.querySelector(mark) !== null;
    const waits = has("[data-soon]") ? SOON_MS : has("[data-pending]") ? PENDING_MS : QUIET_MS;
    this.fallback = setTimeout(() => this.touch(null), waits);
  }

  async refresh() {
    this.timer = null;
    const names = this.touched.has(null) ? null : [...this.touched];
    this.touched.clear();
    this.busy = true;
    try {
      await this.fetch(names);
    } catch (error) {
      // Whatever was not fetched is fetched with the next refresh.
      if (error instanceof Locked) this.onLocked(error);
    } finally {
      this.busy = false;
    }
    if (this.touched.size) this.touch([]);
    this.schedule();
  }

  async fetch(names) {
    const path = names === null ? this.path : `${this.path}?only=${names.join(",")}`;
    const known = this.etags.get(path);
    const headers = { Accept: "text/html" };
    if (known) headers["If-None-Match"] = known;
    const response = await ask(path, { headers });
    if (response.status === 304) return;
    const told = parse(await response.text());
    this.put(told);
    // Another answer than the one that is shown now may be asked for again.
    this.etags.clear();
    this.etags.set(path, response.headers.get("ETag"));
  }

  put(told) {
    if (!this.root.firstElementChild) {
      this.root.append(...told.body.childNodes);
      fill(this.root);
      this.onChanged([...this.root.querySelectorAll("[data-section]")]);
      return;
    }
    const changed = [];
    for (const wanted of told.querySelectorAll("[data-section]")) {
      const shown = this.root.querySelector(`[data-section="${CSS.escape(wanted.dataset.section)}"]`);
      if (!shown) continue;
      morph(shown, wanted);
      changed.push(shown);
      fill(shown);
    }
    this.onChanged(changed);
  }
}
