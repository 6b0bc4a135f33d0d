// What an agent's container printed: read when it is opened, and again every two seconds while it is open.

import { ask } from "./ask.js";

const EVERY_MS = 2_000;
const CONTROL = /\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]/g; // eslint-disable-line no-control-regex

export class Journal {
  constructor(base) {
    this.base = base;
    this.timer = null;
  }

  get place() {
    return document.getElementById("journal");
  }

  open() {
    if (!this.place.firstChild) {
      const head = Object.assign(document.createElement("p"), { className: "mono ink2", textContent: "↳ journal" });
      const lines = Object.assign(document.createElement("pre"), { className: "lines", tabIndex: 0 });
      this.place.append(head, lines);
    }
    this.read();
    // It opens above the stream, which may be far from where it was asked for.
    this.place.scrollIntoView({ block: "nearest" });
  }

  close() {
    clearTimeout(this.timer);
    this.timer = null;
  }

  async read() {
    clearTimeout(this.timer);
    const lines = this.place.querySelector("pre");
    const atEnd = lines.scrollTop + lines.clientHeight > lines.scrollHeight - 24;
    try {
      const text = (await (await ask(`${this.base}/api/journal?lines=500`)).text()).replace(CONTROL, "");
      if (lines.textContent !== text) lines.textContent = text || "nothing is logged yet.";
      if (atEnd || lines.dataset.read === undefined) lines.scrollTop = lines.scrollHeight;
      lines.dataset.read = "";
    } catch (error) {
      lines.textContent = `not read: ${error.message}`;
    }
    if (!this.place.hidden) this.timer = setTimeout(() => this.read(), EVERY_MS);
  }
}
