// The message box: enter sends, a line that begins with / is a command, tab completes it, esc esc interrupts.

const TWICE_MS = 600;
const DRAFT = "hyperhive.draft.";

export class Dock {
  constructor() {
    this.chosen = -1;
    this.escaped = 0;
  }

  get form() {
    return document.getElementById("say-form");
  }

  get box() {
    return document.getElementById("say");
  }

  get list() {
    return document.getElementById("completions");
  }

  /** Takes over the box, once it is there. */
  start() {
    if (!this.form) return;
    this.box.addEventListener("input", () => this.look());
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.form.addEventListener("reset", () =>
      setTimeout(() => {
        this.look();
        this.box.focus();
      }, 0),
    );
    this.list.addEventListener("pointerdown", (event) => {
      const item = event.target.closest("[data-command]");
      if (!item) return;
      event.preventDefault();
      this.take(item);
    });
    const kept = sessionStorage.getItem(this.draft);
    if (kept) this.box.value = kept;
    this.look();
  }

  get draft() {
    return DRAFT + this.form.dataset.name;
  }

  get isCommand() {
    return this.box.value.startsWith("/");
  }

  get shown() {
    return [...this.list.children].filter((item) => !item.hidden);
  }

  /** What the form would do with what is written now. */
  look() {
    const { base, name } = this.form.dataset;
    const command = this.isCommand;
    this.form.setAttribute("action", `${base}/${command ? "api/command" : "send"}`);
    this.box.name = command ? "text" : "body";
    this.box.classList.toggle("mono", command);
    this.form.toggleAttribute("data-ready", this.box.value.trim() !== "");
    const button = this.form.querySelector("button");
    button.dataset.busy = command ? "running" : "sending";
    button.dataset.done = command ? "given" : "sent";
    if (!button.dataset.state) button.textContent = command ? "run" : "send";
    this.box.placeholder = `write to ${name}`;
    if (this.box.value) sessionStorage.setItem(this.draft, this.box.value);
    else sessionStorage.removeItem(this.draft);
    this.complete();
  }

  complete() {
    const written = this.box.value;
    const open = this.isCommand && !/\s/.test(written);
    for (const item of this.list.children) {
      const fits = open && item.dataset.command.startsWith(written);
      item.hidden = !fits;
      if (fits) mark(item, written.length);
    }
    const exact = this.shown.length === 1 && this.shown[0].dataset.command === written;
    this.list.hidden = this.shown.length === 0 || exact;
    this.choose(this.list.hidden ? -1 : 0);
  }

  choose(index) {
    const items = this.shown;
    this.chosen = items.length && index >= 0 ? (index + items.length) % items.length : -1;
    for (const item of this.list.children) item.setAttribute("aria-selected", "false");
    const item = items[this.chosen];
    item?.setAttribute("aria-selected", "true");
    item?.scrollIntoView({ block: "nearest" });
    if (item && !this.list.hidden) this.box.setAttribute("aria-activedescendant", item.id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  take(item) {
    this.box.value = `${item.dataset.command} `;
    this.look();
    this.box.focus();
  }

  onKey(event) {
    if (event.isComposing) return;
    const open = !this.list.hidden;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (this.box.value.trim()) this.form.requestSubmit();
    } else if (event.key === "Tab" && !event.shiftKey && open) {
      event.preventDefault();
      this.take(this.shown[Math.max(this.chosen, 0)]);
    } else if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      this.choose(this.chosen + (event.key === "ArrowDown" ? 1 : -1));
    }
  }

  /** Closes the list where it is open; returns whether it was. */
  close() {
    if (!this.list || this.list.hidden) return false;
    this.list.hidden = true;
    this.choose(-1);
    return true;
  }

  /** Hears of an esc with nothing open: the second one in a row interrupts. */
  escape() {
    const now = performance.now();
    const twice = now - this.escaped < TWICE_MS;
    this.escaped = twice ? 0 : now;
    const button = document.querySelector("#interrupt button");
    if (twice && button && !button.disabled) button.form.requestSubmit(button);
  }
}

function mark(item, length) {
  const { command } = item.dataset;
  const typed = document.createElement("mark");
  typed.textContent = command.slice(0, length);
  item.querySelector("b").replaceChildren(typed, command.slice(length));
}
