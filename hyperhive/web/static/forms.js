// Every form that does something: `<form data-act method="post" action="…">`. Its button says how it goes:
//   busy    spins, `data-busy` as its word, keeps its width, ignores a second press
//   done    `data-done` as its word for two seconds
//   failed  "try again", and the reason in one sentence beside it; whatever was typed is kept

import { ask, Locked, Refusal } from "./ask.js";
import { hold, release } from "./held.js";
import { morph } from "./morph.js";

const DONE_MS = 2_000;

/** Takes over the forms below a root. `onDone(form, told)`, `onLocked(error)`, `isConnected()`. */
export function actOn(root, { onDone = () => {}, onLocked = () => {}, isConnected = () => true } = {}) {
  root.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-act]")) return;
    event.preventDefault();
    if (form.dataset.state === "busy") return;
    const button = event.submitter ?? form.querySelector("button:not([type=button])");
    if (!isConnected()) {
      fail(form, button, "not sent, the daemon is disconnected; what you wrote is kept.");
      return;
    }
    submit(form, button, { onDone, onLocked });
  });
  // Somebody who changes what failed begins anew.
  root.addEventListener("input", (event) => {
    const form = event.target.closest?.("form[data-act][data-state=failed]");
    if (form) settle(form, form.querySelector("button[data-state]"));
  });
}

async function submit(form, button, { onDone, onLocked }) {
  const body = new URLSearchParams(new FormData(form, button));
  enter(form, button, "busy", button?.dataset.busy);
  try {
    const response = await ask(button?.getAttribute("formaction") ?? form.getAttribute("action"), { method: "POST", body });
    const told = await response.json();
    form.reset();
    enter(form, button, "done", button?.dataset.done);
    setTimeout(() => form.dataset.state === "done" && settle(form, button), DONE_MS);
    form.dispatchEvent(new CustomEvent("hive:done", { bubbles: true, detail: told }));
    onDone(form, told);
  } catch (error) {
    if (error instanceof Locked) {
      settle(form, button);
      onLocked(error);
      return;
    }
    const reason = error instanceof Refusal ? error.message : "no answer came; it may or may not have been done.";
    fail(form, button, reason);
  }
}

function fail(form, button, reason) {
  enter(form, button, "failed", "try again");
  const place = form.querySelector("[data-error]") ?? form.appendChild(errorPlace());
  place.textContent = reason;
  place.hidden = false;
}

function errorPlace() {
  const place = document.createElement("p");
  place.className = "error";
  place.dataset.error = "";
  place.setAttribute("role", "alert");
  return place;
}

function enter(form, button, state, word) {
  form.dataset.state = state;
  const place = form.querySelector("[data-error]");
  if (place) place.hidden = true;
  if (!button) return;
  if (!button.dataset.state) {
    hold(button);
    button.style.minWidth = `${button.offsetWidth}px`;
  }
  button.dataset.state = state;
  button.setAttribute("aria-busy", String(state === "busy"));
  if (word) button.replaceChildren(word);
}

function settle(form, button) {
  delete form.dataset.state;
  const place = form.querySelector("[data-error]");
  if (place) place.hidden = true;
  if (!button) return;
  delete button.dataset.state;
  button.removeAttribute("aria-busy");
  button.style.minWidth = "";
  const wanted = release(button);
  if (wanted) morph(button, wanted);
}
