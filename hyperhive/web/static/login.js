// The form that asks for a key, shown where there is none that opens the hive. The page behind it keeps its drafts.

import { keep } from "./key.js";

let begin = () => {};

/** Shows the form with the reason; `then` runs once a key was given. */
export function askForKey(reason, then, how = "run `hyperhive open` on its host") {
  begin = then;
  const place = document.getElementById("login");
  document.getElementById("page").hidden = true;
  place.hidden = false;
  if (!place.firstChild) place.append(form(how));
  const told = place.querySelector("[data-reason]");
  told.textContent = reason;
  told.hidden = !reason;
  place.querySelector("input")?.focus();
}

/** Puts the form away and shows the page. */
export function putAway() {
  document.getElementById("login").hidden = true;
  document.getElementById("page").hidden = false;
}

function form(how) {
  const element = document.createElement("form");
  element.className = "login";
  const mark = Object.assign(document.createElement("i"), { className: "diamond" });
  mark.setAttribute("aria-hidden", "true");
  const heading = document.createElement("h1");
  heading.append(mark, "a key, to look at this hive");
  const explained = document.createElement("p");
  for (const [index, part] of `${how}: it gives a link with one, or paste yours here.`.split("`").entries()) {
    explained.append(index % 2 ? Object.assign(document.createElement("code"), { textContent: part }) : part);
  }
  const label = Object.assign(document.createElement("label"), { textContent: "key" });
  const input = Object.assign(document.createElement("input"), { type: "password", autocomplete: "off", required: true });
  label.append(input);
  const button = Object.assign(document.createElement("button"), { className: "btn main", textContent: "look" });
  input.addEventListener("input", () => element.toggleAttribute("data-ready", input.value.trim() !== ""));
  const reason = document.createElement("p");
  reason.dataset.reason = "";
  reason.className = "why";
  reason.setAttribute("role", "alert");
  element.append(heading, explained, label, button, reason);
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = input.value.trim();
    if (!given) return;
    input.value = "";
    element.removeAttribute("data-ready");
    keep(given);
    begin();
  });
  return element;
}
