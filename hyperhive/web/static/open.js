// What opens in place: `data-opens="id"` shows the element, `data-closes="id"` hides it again. What is open stays open
// while the page changes; `data-client` tells the morph so.

const opened = []; // in their order

/** Takes over a root. `onOpen(element)` hears of what was opened, `onClose(element)` of what was closed. */
export function openOn(root, { onOpen = () => {}, onClose = () => {} } = {}) {
  root.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-opens]");
    if (opener && !opener.disabled) toggle(opener, { onOpen, onClose });
    const closer = event.target.closest?.("[data-closes]");
    if (closer) close(document.getElementById(closer.dataset.closes), onClose);
  });
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    const inside = event.target.closest?.(".sure, .logs, .configs, .output, .ask-agent");
    if (inside && openerOf(inside)) {
      event.preventDefault();
      close(inside, onClose);
    }
  });
  // With the focus elsewhere, as on the row of open logs: what was opened last.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.target.matches?.("textarea, select, input")) return;
    const last = opened.filter((element) => element.isConnected && !element.hidden).at(-1);
    if (last) close(last, onClose);
  });
  // What was done needs no asking any more.
  root.addEventListener("hive:done", (event) => {
    const asking = event.target.closest(".sure");
    if (asking) close(asking, onClose, { focus: false });
  });
}

export function openerOf(element) {
  return document.querySelector(`[data-opens="${CSS.escape(element.id)}"]`);
}

function toggle(opener, { onOpen, onClose }) {
  const element = document.getElementById(opener.dataset.opens);
  if (!element) return;
  if (!element.hidden) {
    close(element, onClose);
    return;
  }
  element.hidden = false;
  opened.splice(0, opened.length, ...opened.filter((each) => each.isConnected && each !== element), element);
  opener.setAttribute("aria-expanded", "true");
  onOpen(element);
  if (element.matches(".sure, .ask-agent")) firstField(element)?.focus();
}

/** The harmless one first: whoever presses enter at once should keep what is there. */
function firstField(element) {
  return element.querySelector("[data-closes]") ?? element.querySelector("input:not([type=hidden]), button");
}

function close(element, onClose, { focus = true } = {}) {
  if (!element || element.hidden) return;
  const opener = openerOf(element);
  const had = element.contains(document.activeElement);
  element.hidden = true;
  if (element instanceof HTMLFormElement) element.reset();
  for (const form of element.querySelectorAll("form")) form.reset();
  opener?.setAttribute("aria-expanded", "false");
  onClose(element);
  if (had && focus) opener?.focus();
}
