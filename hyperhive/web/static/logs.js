// The logs of an agent, below its row: read when they are opened, read again every two seconds while they are followed.

import { ask } from "./ask.js";

const FOLLOW_MS = 2_000;
const UNITS = [
  ["", "all units"],
  ["hive-ag3nt.service", "hive-ag3nt"],
  ["hive-m1nd.service", "hive-m1nd"],
];
const LINES = [200, 1_000, 5_000];
const LOUD = /\b(error|fail(ed|ure)?|warn(ing)?|crash(ed)?|overloaded|traceback|critical)\b/i;
const CONTROL = /\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]/g; // eslint-disable-line no-control-regex

const open = new Map(); // by element

/** Begins to show the logs in a block that was opened. */
export function showLogs(block, name) {
  if (!block.firstChild) build(block, name);
  const shown = { name, timer: null, abort: null };
  open.set(block, shown);
  read(block);
}

/** Stops reading. */
export function hideLogs(block) {
  const shown = open.get(block);
  clearTimeout(shown?.timer);
  shown?.abort?.abort();
  open.delete(block);
}

function build(block, name) {
  const head = make("div", "logs-head");
  head.append(make("span", "title mono", `↳ logs · ${name}`));
  head.append(choice("unit", `unit of ${name}`, UNITS), choice("lines", `how many lines of ${name}`, LINES.map((n) => [n, `${n} lines`])));
  const refresh = make("button", "btn low", "refresh");
  refresh.type = "button";
  refresh.dataset.refresh = "";
  const follow = make("label", "follow");
  const box = make("input", "switch");
  Object.assign(box, { type: "checkbox", checked: true });
  box.setAttribute("role", "switch");
  follow.append(box, "follow");
  head.append(refresh, follow);
  const lines = make("div", "logs-lines");
  lines.tabIndex = 0;
  lines.setAttribute("role", "log");
  lines.setAttribute("aria-label", `logs of ${name}`);
  lines.setAttribute("aria-live", "off");
  lines.append(make("div", "ink3", "reading…"));
  const why = make("p", "why");
  why.hidden = true;
  block.append(head, lines, why);
  // Whoever stops following wants to read where they are.
  head.addEventListener("change", (event) => read(block, { toEnd: event.target !== box || box.checked }));
  refresh.addEventListener("click", () => read(block, { toEnd: true }));
}

function choice(kind, label, options) {
  const pick = make("span", "pick");
  const select = make("select");
  select.dataset[kind] = "";
  select.setAttribute("aria-label", label);
  for (const [value, text] of options) select.append(new Option(text, value));
  pick.append(select);
  return pick;
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

async function read(block, { toEnd = false } = {}) {
  const shown = open.get(block);
  if (!shown) return;
  clearTimeout(shown.timer);
  shown.abort?.abort();
  const abort = (shown.abort = new AbortController());
  const unit = block.querySelector("[data-unit]").value;
  const lines = block.querySelector("[data-lines]").value;
  const refresh = block.querySelector("[data-refresh]");
  const why = block.querySelector(".why");
  refresh.dataset.state = "busy";
  try {
    const path = `/api/journal/${encodeURIComponent(shown.name)}?unit=${encodeURIComponent(unit)}&lines=${lines}`;
    const response = await ask(path, { signal: abort.signal });
    write(block, await response.text(), toEnd);
    why.hidden = true;
  } catch (error) {
    if (abort.signal.aborted) return;
    why.textContent = `not read: ${error.message}`;
    why.hidden = false;
  }
  delete refresh.dataset.state;
  if (open.get(block) === shown && block.querySelector(".switch").checked) {
    shown.timer = setTimeout(() => read(block), FOLLOW_MS);
  }
}

function write(block, text, toEnd) {
  const place = block.querySelector(".logs-lines");
  if (place.dataset.read === "" && place.textContent === text) return;
  const atEnd = toEnd || place.dataset.read === undefined || place.scrollTop + place.clientHeight > place.scrollHeight - 24;
  const lines = text.replace(/\n$/, "").split("\n");
  const rows = lines.map((line) => {
    const plain = line.replace(CONTROL, "");
    return make("div", LOUD.test(plain) ? "loud" : "", plain || " ");
  });
  place.replaceChildren(...(text ? rows : [make("div", "ink3", "nothing is logged yet.")]));
  place.dataset.read = "";
  if (atEnd) place.scrollTop = place.scrollHeight;
}
