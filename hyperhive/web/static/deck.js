// The compact track: four lanes, a handle to drag to any moment, and what came after it hatched. Drawn from JSON.

import { grouped } from "./connection.js";
import { glyph } from "./glyphs.js";
import { onScale } from "./times.js";

const SVG = "http://www.w3.org/2000/svg";
const LANES = ["crashes", "approvals", "questions", "events"];
const TOP = { crashes: 6, approvals: 20, questions: 34 };
const HEIGHT = 70;
const BARS = { top: 44, bottom: 66 };
const LOOKS = {
  crash: ["cross", "red"],
  approved: ["granted", "amber"],
  denied: ["diamond", "amber"],
  asked: ["diamond", "ink3"],
  question: ["question", "mauve"],
};
const HOUR = 3_600_000;
const STEPS = [5 * 60_000, 10 * 60_000, 30 * 60_000, HOUR, 3 * HOUR, 6 * HOUR, 24 * HOUR, 7 * 24 * HOUR, 30 * 24 * HOUR];

export class Deck {
  /** `onMove(time, position)` while it is dragged, `onDrop(time, isNow)` when it is let go, `onMark(position)`. */
  constructor({ onMove, onDrop, onMark }) {
    Object.assign(this, { onMove, onDrop, onMark });
    this.told = null;
    this.dragging = false;
  }

  /** Builds the place once. */
  into(place) {
    if (this.place === place) return;
    this.place = place;
    this.names = make("div", "lane-names");
    for (const lane of LANES) this.names.append(make("span", `lane-name small ink3 of-${lane}`, lane));
    this.lanes = make("div", "lanes");
    this.after = make("div", "after");
    this.handle = make("div", "handle");
    Object.assign(this.handle, { tabIndex: 0, id: "handle" });
    this.handle.setAttribute("role", "slider");
    this.handle.setAttribute("aria-label", "moment");
    this.hours = make("div", "hours small ink3");
    place.append(this.names, this.lanes, this.hours);
    this.lanes.addEventListener("pointerdown", (event) => this.grab(event));
    this.lanes.addEventListener("pointermove", (event) => this.drag(event));
    this.lanes.addEventListener("pointerup", (event) => this.drop(event));
    this.lanes.addEventListener("pointercancel", (event) => this.drop(event));
  }

  get width() {
    return Math.max(1, Math.floor(this.lanes.clientWidth));
  }

  /** Draws what the daemon told of a window. */
  draw(told) {
    this.told = told;
    const svg = shape("svg", { width: told.width, height: HEIGHT, class: "drawn", "aria-hidden": "true" });
    for (const y of [13, 27, 41]) svg.append(shape("path", { d: `M0 ${y}.5H${told.width}`, class: "rule" }));
    svg.append(this.bars(told));
    for (const wait of told.waits) {
      const tone = wait.lane === "approvals" ? "amber" : "mauve";
      svg.append(shape("path", { d: `M${wait.begin} ${TOP[wait.lane] + 0.5}H${wait.end}`, class: `wait ${tone}` }));
    }
    this.lanes.replaceChildren(svg, this.after, ...told.marks.map((mark) => this.mark(mark)), this.handle);
    this.scale(told);
    this.put(told.at, told.position);
  }

  bars({ counts, width }) {
    const most = Math.max(1, ...counts);
    const step = width / counts.length;
    const parts = counts.map((count, at) => {
      if (!count) return "";
      const height = Math.max(1, Math.sqrt(count / most) * (BARS.bottom - BARS.top));
      return `M${(at * step).toFixed(1)} ${BARS.bottom}v${(-height).toFixed(1)}h${Math.max(1, step - 1).toFixed(1)}V${BARS.bottom}z`;
    });
    return shape("path", { d: parts.join("") || "M0 0", class: "bars" });
  }

  mark(mark) {
    const [name, tone] = LOOKS[mark.look] ?? ["", "ink2"];
    const button = make("button", `mark ${tone}${mark.count > 1 ? " many" : ""}`);
    Object.assign(button, { type: "button", title: `${mark.words} (${grouped(mark.position)})` });
    button.dataset.mark = mark.lane;
    button.dataset.at = mark.position;
    button.setAttribute("aria-label", button.title);
    if (mark.count > 1) button.append(String(mark.count));
    else button.append(glyph(name));
    button.style.left = `${mark.x}px`;
    button.style.top = `${TOP[mark.lane]}px`;
    return button;
  }

  scale({ begin, end, width }) {
    this.hours.replaceChildren();
    const least = (end - begin) / Math.max(2, Math.floor(width / 110));
    const step = STEPS.find((one) => one >= least) ?? STEPS.at(-1) * Math.ceil(least / STEPS.at(-1));
    const offset = new Date(begin).getTimezoneOffset() * 60_000;
    const put = (at, text, kind = "") => {
      const label = make("span", kind, text);
      label.style.left = `${((at - begin) / Math.max(1, end - begin)) * width}px`;
      this.hours.append(label);
    };
    put(begin, onScale(begin, true), "first");
    const room = (60 / width) * (end - begin);
    for (let at = Math.ceil((begin - offset) / step) * step + offset; at < end - room; at += step) {
      if (at - begin > room * 1.6) put(at, onScale(at, new Date(at).getHours() === 0 || step >= 24 * HOUR));
    }
    put(end, Date.now() - end < 120_000 ? "now" : onScale(end, false), "last");
  }

  /** Puts the handle at a moment. */
  put(at, position) {
    const { begin, end, width } = this.told;
    const x = Math.min(Math.max((at - begin) / Math.max(1, end - begin), 0), 1) * width;
    this.handle.style.left = `${x}px`;
    this.after.style.left = `${x}px`;
    this.handle.setAttribute("aria-valuemin", "0");
    this.handle.setAttribute("aria-valuemax", String(this.told.head));
    this.handle.setAttribute("aria-valuenow", String(position));
    this.handle.setAttribute("aria-valuetext", `${new Date(at).toLocaleString()}, position ${position}`);
  }

  /** Returns the moment under the pointer, and about which position that is. */
  under(event) {
    const { begin, end, positions } = this.told;
    const box = this.lanes.getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - box.left) / Math.max(1, box.width), 0), 1);
    const bucket = Math.min(Math.floor(part * (positions.length - 1)), positions.length - 2);
    const within = part * (positions.length - 1) - bucket;
    const position = Math.round(positions[bucket] + within * (positions[bucket + 1] - positions[bucket]));
    return { at: Math.round(begin + part * (end - begin)), position, part };
  }

  grab(event) {
    if (!this.told || event.button !== 0 || event.target.closest("[data-mark]")) return;
    event.preventDefault();
    this.dragging = true;
    this.lanes.setPointerCapture(event.pointerId);
    this.handle.focus({ preventScroll: true });
    this.drag(event);
  }

  drag(event) {
    if (!this.dragging) return;
    const { at, position } = this.under(event);
    this.put(at, position);
    this.onMove(at, position);
  }

  drop(event) {
    if (!this.dragging) return;
    this.dragging = false;
    const { at, part } = this.under(event);
    this.onDrop(at, part >= 1 && Date.now() - this.told.end < 600_000);
  }
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
