// Changes what is shown into what the daemon wrote, in place: nobody's text, choice, focus, scroll or open block is lost.

import { Idiomorph } from "./vendor/idiomorph/idiomorph.esm.js";

// The one place where a string becomes markup: what the daemon's templates wrote, escaped there.
const policy = globalThis.trustedTypes?.createPolicy("hive", { createHTML: (markup) => markup });

/** Returns a document of markup that the daemon wrote; nothing in it runs. */
export function parse(markup) {
  return new DOMParser().parseFromString(policy ? policy.createHTML(markup) : markup, "text/html");
}

/** Turns an element into another one, as far as nobody is at it. */
export function morph(element, wanted) {
  Idiomorph.morph(element, wanted, {
    morphStyle: "outerHTML",
    restoreFocus: true,
    callbacks: {
      beforeNodeMorphed,
      beforeNodeRemoved: (node) => !(node instanceof Element && node.matches("[data-error]")),
      beforeAttributeUpdated: (name, node) =>
        !(name === "data-state" || name === "open" || (name === "hidden" && node.matches("[data-client]"))),
    },
  });
}

function beforeNodeMorphed(old, wanted) {
  if (!(old instanceof Element) || !(wanted instanceof Element)) return true;
  // Kept as it is: what a script of the page looks after, a button that says how it went, the reason of a failure.
  if (old.matches("[data-keep], button[data-state], [data-error]")) return false;
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
