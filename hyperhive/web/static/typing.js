// What somebody types: which form is ready, names typed to confirm, to whom one writes, drafts that outlive the page.

import { isAway } from "./away.js";
import { shown } from "./times.js";

const PREFIX = "hyperhive.draft.";
let last = null; // the form that was touched last, by id

/** Takes over the forms below a root. */
export function typeOn(root) {
  root.addEventListener("input", (event) => {
    const form = event.target.form;
    if (!form) return;
    last = form.id;
    if (form.matches("[data-drafts]")) keep(form);
    look(root);
  });
  root.addEventListener("change", (event) => {
    if (event.target.closest("[data-to]")) look(root);
  });
  root.addEventListener("reset", (event) => setTimeout(() => look(root), 0));
  root.addEventListener("hive:done", (event) => {
    sessionStorage.removeItem(PREFIX + event.target.id);
    event.target.querySelector("[data-draft]")?.remove();
  });
}

/** Looks at every form again: after a key, and after the page has changed. */
export function look(root) {
  for (const form of root.querySelectorAll("form[data-act]")) {
    const ready = form.id === last && form.matches("[data-drafts]") && isFilled(form);
    if (ready !== form.hasAttribute("data-ready")) form.toggleAttribute("data-ready", ready);
  }
  for (const form of root.querySelectorAll("form[data-typed]")) confirmed(form);
  for (const form of root.querySelectorAll("form[data-to]")) addressed(form);
}

function isFilled(form) {
  return [...form.elements].some((field) => {
    if (!field.name || field.type === "hidden") return false;
    return field.matches("[type=radio], [type=checkbox]") ? field.checked : field.value.trim() !== "";
  });
}

function confirmed(form) {
  const field = form.querySelector("[data-type]");
  const button = form.querySelector("button:not([type=button])");
  const typed = field.value;
  const right = typed === form.dataset.typed;
  if (!button.dataset.state && !isAway()) button.disabled = !right;
  const wrong = typed !== "" && !form.dataset.typed.startsWith(typed);
  field.toggleAttribute("data-wrong", wrong);
  field.title = wrong ? `that is not “${form.dataset.typed}”` : "";
}

function addressed(form) {
  const to = form.querySelector("select").value;
  const body = form.querySelector("textarea");
  form.setAttribute("action", `/send/${encodeURIComponent(to)}`);
  body.placeholder = `write to ${to}`;
  const button = form.querySelector("button");
  if (button.dataset.state || isAway()) return;
  button.disabled = body.value.trim() === "";
  button.title = button.disabled ? "write something first" : "";
}

/** Writes to somebody: chooses the name and goes to the text. */
export function writeTo(name) {
  const form = document.querySelector("form[data-to]");
  if (!form) return;
  form.querySelector("select").value = name;
  addressed(form);
  form.querySelector("textarea").focus();
}

function keep(form) {
  const fields = [...new FormData(form)].filter(([, value]) => value !== "");
  const name = PREFIX + form.id;
  if (!isFilled(form)) sessionStorage.removeItem(name);
  else sessionStorage.setItem(name, JSON.stringify({ at: Date.now(), fields }));
}

/** Puts back what was typed before the page was loaded again, and says since when it has been there. */
export function restore(root) {
  for (const form of root.querySelectorAll("form[data-drafts]")) {
    const kept = sessionStorage.getItem(PREFIX + form.id);
    if (kept === null || isFilled(form)) continue;
    const { at, fields } = JSON.parse(kept);
    for (const [name, value] of fields) put(form, name, value);
    const note = document.createElement("p");
    note.className = "ink3 ui";
    note.dataset.draft = "";
    note.textContent = `draft from ${shown(new Date(at))}`;
    form.append(note);
  }
}

function put(form, name, value) {
  for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
    if (field.matches("[type=radio], [type=checkbox]")) field.checked ||= field.value === value;
    else if (!field.matches("[type=hidden]")) field.value = value;
  }
}
