// Times as they are here, with UTC on hover, and what counts down or up.
//   <time datetime="…">                       10:42 today, else 21 nov 10:42; with data-clock always 10:42,
//                                             with data-exact 10:42:07, with data-moment sat 21 nov, 10:42:07
//   <span data-deadline="…">                  3m 05s until then
//   <span data-since="…">                     42s since then; from a minute on without seconds
//   <span data-ago="…">                       3 days ago

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

let moment = null;

/** Lets every time be told from a moment of the past (milliseconds since 1970), where nothing counts on. */
export function standAt(at) {
  moment = at;
}

/** Writes every time below an element. */
export function fill(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    element.textContent = written(element, at);
    element.title = `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  }
  count(root);
}

function written(element, at) {
  if (element.hasAttribute("data-moment")) return whole(at);
  if (element.hasAttribute("data-exact")) return exact(at);
  return element.hasAttribute("data-clock") ? CLOCK.format(at) : shown(at);
}

/** Writes a moment as people here read it. */
export function shown(at, now = new Date(moment ?? Date.now())) {
  const clock = CLOCK.format(at);
  return at.toDateString() === now.toDateString() ? clock : `${DAY.format(at).toLowerCase()} ${clock}`;
}

/** Writes a length of time: 42s, 3m 05s, 2h 10m, 2d 4h. */
export function length(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)}h ${pad(Math.floor(whole / 60) % 60)}m`;
  return `${Math.floor(whole / 86_400)}d ${Math.floor(whole / 3_600) % 24}h`;
}

/** Writes how long something lasts, where seconds matter only at first. */
export function lasting(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return whole >= 60 && whole < 3_600 ? `${Math.floor(whole / 60)}m` : length(whole);
}

/** Writes how long ago something was, to the day. */
export function ago(seconds) {
  const days = Math.floor(seconds / 86_400);
  const some = (number, one) => `${number} ${one}${number === 1 ? "" : "s"} ago`;
  if (days < 1) return `${lasting(seconds)} ago`;
  if (days < 60) return some(days, "day");
  return days < 730 ? some(Math.floor(days / 30), "month") : some(Math.floor(days / 365), "year");
}

function count(root) {
  const now = moment ?? Date.now();
  for (const element of root.querySelectorAll("[data-deadline]")) {
    const left = (Date.parse(element.dataset.deadline) - now) / 1_000;
    write(element, length(Math.ceil(left)));
    urge(element, left > 600 ? "far" : left > 60 ? "near" : left > 0 ? "now" : "over");
  }
  for (const element of root.querySelectorAll("[data-since]")) {
    write(element, lasting((now - Date.parse(element.dataset.since)) / 1_000));
  }
  for (const element of root.querySelectorAll("[data-ago]")) {
    write(element, ago((now - Date.parse(element.dataset.ago)) / 1_000));
  }
}

const urgencies = new WeakMap(); // what each element said last: its attribute goes whenever the page is written anew

/** Marks how urgent something is; `hive:urgency` tells of each change. */
function urge(element, urgency) {
  element.dataset.urgency = urgency;
  const before = urgencies.get(element);
  urgencies.set(element, urgency);
  if (before !== undefined && before !== urgency) {
    element.dispatchEvent(new CustomEvent("hive:urgency", { bubbles: true, detail: urgency }));
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Lets everything that counts go on, each second. */
export function startCounting() {
  setInterval(() => count(document), 1_000);
}

const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const EXACT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** Writes a moment on a scale: 18:00, or with its day sat 10:42. */
export function onScale(at, day) {
  const clock = CLOCK.format(at);
  return day ? `${WEEKDAY.format(at).toLowerCase()} ${clock}` : clock;
}

/** Writes a moment to the second: 18:04:11. */
export function exact(at) {
  return EXACT.format(at);
}

/** Writes a moment whole: sat 21 nov, 18:04:11; of another year with the year. */
export function whole(at) {
  const date = new Date(at);
  const year = date.getFullYear() === new Date().getFullYear() ? "" : ` ${date.getFullYear()}`;
  return `${WEEKDAY.format(at)} ${DAY.format(at)}${year}, ${exact(at)}`.toLowerCase();
}
