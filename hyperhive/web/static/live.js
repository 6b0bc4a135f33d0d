// Follows the live stream by fetch (EventSource cannot send a key), and says how it stands:
//   live          what is shown is what is so
//   catching-up   connected, and what was missed is on its way
//   disconnected  since when, at which position, when it is tried again

import { ask, Locked } from "./ask.js";

const SILENCE_MS = 40_000; // the daemon says something every 15 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export class Live {
  /** `onEvent(event)` for each, `onReset()` where positions begin anew, `onState(state)`, `onLocked(error)`. */
  constructor(path, { onEvent, onReset = () => {}, onState = () => {}, onLocked = () => {} }) {
    Object.assign(this, { path, onEvent, onReset, onState, onLocked });
    this.position = null;
    this.state = { name: "disconnected", since: new Date(), position: null, nextTry: null };
    this.tries = 0;
    this.running = false;
  }

  /** Begins after a position (null: from now on); goes on until `stop`. */
  start(position = null) {
    this.stop();
    this.position = position;
    this.running = true;
    this.follow();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
    this.abort?.abort();
  }

  /** Tries at once, where it waits for the next try. */
  tryNow() {
    if (!this.running || this.state.name !== "disconnected") return;
    clearTimeout(this.timer);
    this.tries = 0;
    this.follow();
  }

  async follow() {
    const abort = (this.abort = new AbortController());
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    heard();
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.position !== null) headers["Last-Event-ID"] = String(this.position);
      const response = await ask(this.path, { headers, signal: abort.signal });
      await this.read(response.body, heard);
    } catch (error) {
      if (error instanceof Locked && this.running) {
        this.stop();
        this.onLocked(error);
      }
    } finally {
      clearTimeout(silence);
      abort.abort();
    }
    if (this.running && this.abort === abort) this.wait();
  }

  wait() {
    const waits = Math.min(FIRST_WAIT_MS * 2 ** this.tries, LONGEST_WAIT_MS) * (0.75 + Math.random() / 2);
    this.tries += 1;
    const since = this.state.name === "disconnected" ? this.state.since : new Date();
    this.enter({ name: "disconnected", since, position: this.position, nextTry: new Date(Date.now() + waits) });
    this.timer = setTimeout(() => this.follow(), waits);
  }

  enter(state) {
    this.state = state;
    this.onState(state);
  }

  async read(body, heard) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      rest += value;
      const frames = rest.split("\n\n");
      rest = frames.pop();
      for (const frame of frames) this.take(frame);
    }
  }

  take(frame) {
    const fields = {};
    for (const line of frame.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (fields.data === undefined) return;
    const told = JSON.parse(fields.data);
    if (fields.event === "reset") {
      this.position = told.position;
      this.onReset();
    } else if (fields.event === undefined) {
      this.position = Number(fields.id);
      this.onEvent(told);
    }
    if (fields.event !== undefined) {
      this.tries = 0;
      this.head = told.position;
      this.position ??= told.position;
    }
    const name = this.position < this.head ? "catching-up" : "live";
    if (name !== this.state.name || name === "live") this.enter({ name, since: new Date(), position: this.position });
  }
}
