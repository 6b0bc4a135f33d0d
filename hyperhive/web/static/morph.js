// Changes what is shown into what the daemon wrote, in place: nobody's text, choice, focus, scroll or open block is lost.

import { drop, mayChange } from "./held.js";
import { Idiomorph } from "./vendor/idiomorph/idiomorph.esm.js";

/** What a script of the page decides on an element with `data-client`. */
const CLIENT = new Set(["hidden", "aria-expanded"]);

/** Lets a button that has said how its press went be what the page wants. */
function quiet(button) {
  drop(button);
  delete button.dataset.state;
  button.removeAttribute("aria-busy");
  button.style.minWidth = "";
}

/** Turns an element into another one, as far as nobody is at it. */
export function morph(element, wanted) {
  Idiomorph.morph(element, wanted, {
    morphStyle: "outerHTML",
    restoreFocus: true,
    callbacks: {
      beforeNodeMorphed,
      beforeNodeRemoved: (node) => !(node instanceof Element && node.matches("[data-error]")),
      beforeAttributeUpdated: mayUpdate,
    },
  });
}

const moved = new WeakMap();

/** What somebody decides about is not changed under them: it says that it has moved, and shows the new one when asked. */
function isMoved(old, wanted) {
  if (old.dataset.shown === wanted.dataset.shown || old.dataset.moved === "accepted") return false;
  if (wanted.dataset.shown === undefined) {
    old.dataset.soon = ""; // it has moved, and the new one is being read
    return true;
  }
  delete old.dataset.soon;
  moved.set(old, wanted.cloneNode(true));
  old.dataset.moved = "";
  old.dispatchEvent(new CustomEvent("hive:moved", { bubbles: true, detail: { was: old.dataset.shown, is: wanted.dataset.shown } }));
  return true;
}

/** Shows what has taken the place of what was shown; whatever was typed stays. */
export function showMoved(element) {
  const wanted = moved.get(element);
  if (!wanted) return;
  moved.delete(element);
  element.dataset.moved = "accepted";
  morph(element, wanted);
}

function mayUpdate(name, node) {
  if (name === "data-state" || name === "open") return false;
  // Where the new field has no value, the morph would empty this one, whatever is in it.
  if (name === "value" && isTouched(node)) return false;
  return !(CLIENT.has(name) && node.matches("[data-client]"));
}

function beforeNodeMorphed(old, wanted) {
  if (!(old instanceof Element) || !(wanted instanceof Element)) return true;
  // Kept as it is: what a script of the page looks after, a button that says how it went, the reason of a failure.
  if (old.matches("[data-keep], [data-error]")) return false;
  if (old.matches("[data-shown]") && isMoved(old, wanted)) return false;
  if (old.matches("button[data-state]")) {
    if (!mayChange(old, wanted)) return false;
    quiet(old);
  }
  if (old.matches("time[datetime]") && old.getAttribute("datetime") === wanted.getAttribute("datetime")) return false;
  if (isTouched(old)) carryOver(old, wanted);
  return true;
}

function isTouched(control) {
  if (control instanceof HTMLTextAreaElement) return control.value !== control.defaultValue;
  if (control instanceof HTMLSelectElement) return true;
  if (!(control instanceof HTMLInputElement)) return false;
  return control.value !== control.defaultValue || control.checked !== control.defaultChecked;
}

/** Lets what somebody typed or chose stand also in the new element. */
function carryOver(old, wanted) {
  if (old.tagName !== wanted.tagName) return;
  if (old instanceof HTMLSelectElement) {
    // All options at once, before any of them is morphed: choosing one lets go of another.
    const chosen = new Set([...old.selectedOptions].map((option) => option.value));
    if (![...wanted.options].some((option) => chosen.has(option.value))) return;
    for (const option of wanted.options) option.selected = chosen.has(option.value);
    return;
  }
  wanted.value = old.value;
  if ("checked" in old) wanted.checked = old.checked;
}
