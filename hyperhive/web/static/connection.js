// How the connection stands, in the bar: live at which position, catching up, or disconnected since when.

import { glyph } from "./glyphs.js";
import { length } from "./times.js";

const LOOKS = {
  live: ["thinking", "", "green", "live"],
  "catching-up": ["pending", "pending", "mauve", "catching up"],
  disconnected: ["cross", "", "red", "disconnected"],
};

/** 48 213 with a thin space, as every position is shown. */
export function grouped(position) {
  return String(position).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

/** Writes the state of a `Live` into the bar; `live.tryNow` hangs on its button. */
export function showConnection(live) {
  const place = document.getElementById("connection");
  if (!place) return;
  const state = live.state;
  const [name, motion, tone, word] = LOOKS[state.name];
  if (place.dataset.live !== state.name) {
    place.dataset.live = state.name;
    const label = document.createElement("span");
    label.className = tone;
    label.append(glyph(name, motion), " ", word);
    const at = document.createElement("span");
    at.className = "at ink3";
    place.replaceChildren(label, at);
    if (state.name === "disconnected") place.append(retry(live));
  }
  const text = told(live, state);
  const at = place.querySelector(".at");
  if (at.textContent !== text) at.textContent = text;
}

function told(live, state) {
  if (state.name === "live") return grouped(state.position);
  if (state.name === "catching-up") return `${grouped(state.position)} of ${grouped(live.head)}`;
  const gone = length((Date.now() - state.since) / 1_000);
  const heard = state.position === null ? "" : ` last heard ${grouped(state.position)},`;
  const left = Math.max(0, Math.ceil((state.nextTry - Date.now()) / 1_000));
  return `${gone}${heard} again in ${left} s`;
}

function retry(live) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "verb strong", textContent: "try now" });
  button.dataset.retry = "";
  button.addEventListener("click", () => live.tryNow());
  return button;
}
