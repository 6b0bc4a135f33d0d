// The keyboard: `?` lists the keys. No single key approves, denies, destroys or freezes.

const PLACES = { q: "questions", a: "approvals", s: "swarm", t: "tombstones", m: "messages", v: "activity" };
const SECOND_MS = 1_500;

let awaiting = 0;

/** Listens on the whole page. */
export function keysOn(root) {
  root.addEventListener("keydown", onKey);
  root.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-keys]")) list();
    const link = event.target.closest?.(".bar a[href^='#']");
    if (link) {
      event.preventDefault();
      goTo(link.getAttribute("href").slice(1));
    }
  });
}

/** Shows the list of keys, or hides it. */
export function list() {
  const dialog = document.getElementById("keys");
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

/** Goes to a section: it comes into view, and the next tab goes into it. */
export function goTo(id) {
  const section = document.getElementById(id);
  section?.scrollIntoView({ block: "start" });
  section?.focus({ preventScroll: true });
}

function onKey(event) {
  if (event.defaultPrevented || event.isComposing) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = event.target.form ?? event.target.closest?.("[data-ask]")?.querySelector("form[data-act]:not([hidden])");
    if (form?.matches("[data-act]")) {
      event.preventDefault();
      form.requestSubmit();
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
  if (document.getElementById("keys")?.open && event.key !== "?") return;
  if (take(event)) event.preventDefault();
}

function isWriting(target) {
  return target.matches?.("textarea, select, input:not([type=radio], [type=checkbox]), [contenteditable]");
}

function take(event) {
  const { key } = event;
  if (performance.now() - awaiting < SECOND_MS && PLACES[key]) {
    awaiting = 0;
    goTo(PLACES[key]);
    return true;
  }
  awaiting = 0;
  switch (key) {
    case "?":
      list();
      return true;
    case "g":
      awaiting = performance.now();
      return true;
    case "s":
      goTo("swarm");
      return true;
    case "j":
      return step(1);
    case "k":
      return step(-1);
    case "l":
      return logs();
    case "/":
      return search();
    default:
      return /^[1-9]$/.test(key) && choose(event.target, Number(key));
  }
}

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  const at = rows.indexOf(document.activeElement?.closest?.("[data-row]"));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
  return next !== undefined;
}

function logs() {
  const verb = document.activeElement?.closest?.("[data-row]")?.querySelector("[data-logs]");
  verb?.click();
  return Boolean(verb);
}

function search() {
  const field = document.querySelector("[data-filter=text]");
  field?.focus();
  return Boolean(field);
}

function choose(target, number) {
  const ask = target.closest?.("[data-ask]");
  const option = ask?.querySelectorAll("input[name=option]")[number - 1];
  if (!option) return false;
  option.click();
  option.focus();
  return true;
}
