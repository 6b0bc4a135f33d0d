// What is older than the newest rows that a section shows, below them: brought in when it is asked for.
//   <ol id="LIST" data-keep></ol>
//   <… data-older="NUMBER" data-page="PAGE" data-into="LIST">   rows before that number, from /page/PAGE?before=NUMBER

import { ask } from "./ask.js";
import { parse } from "./parse.js";
import { fill } from "./times.js";

const PLAIN = ["ctrlKey", "metaKey", "shiftKey", "altKey"];

/** Takes over a root; `onRows()` hears of rows that have come. */
export function olderOn(root, onRows) {
  root.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-older]");
    // A link may still be opened elsewhere, as any link.
    if (!button || PLAIN.some((key) => event[key])) return;
    event.preventDefault();
    older(button).then(onRows);
  });
}

async function older(button) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    const list = document.getElementById(button.dataset.into);
    const told = await before(button.dataset.page, list.dataset.next ?? button.dataset.older);
    list.dataset.above ??= button.dataset.older;
    take(list, told.rows, "append");
    if (told.next === null) button.hidden = true;
    else list.dataset.next = told.next;
    button.removeAttribute("title");
  } catch (error) {
    button.title = `not read: ${error.message}`;
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** Rows that have left the newest ones while older ones are open below them come back between the two. */
export async function closeGaps(root, onRows) {
  for (const button of root.querySelectorAll("[data-older]")) {
    const list = document.getElementById(button.dataset.into);
    if (!list.firstElementChild || list.dataset.above === button.dataset.older || closing.has(list)) continue;
    closing.add(list);
    try {
      await close(list, button.dataset);
      onRows();
    } catch {
      // With the next change of the page it is tried again.
    } finally {
      closing.delete(list);
    }
  }
}
const closing = new Set();

async function close(list, { page, older: above }) {
  const newest = numberOf(list.firstElementChild);
  const missing = [];
  for (let from = above; from !== null; ) {
    const told = await before(page, from);
    missing.push(...told.rows.filter((row) => numberOf(row) > newest));
    from = told.next !== null && Number(told.next) > newest ? told.next : null;
  }
  take(list, missing, "prepend");
  list.dataset.above = above;
}

function take(list, rows, where) {
  list[where](...rows.filter((row) => !document.getElementById(row.id)));
  fill(list);
}

function numberOf(row) {
  return Number(row.id.slice(row.id.lastIndexOf("-") + 1));
}

async function before(page, number) {
  const response = await ask(`/page/${page}?before=${number}`, { headers: { Accept: "text/html" } });
  const told = parse(await response.text());
  return { rows: [...told.querySelectorAll("li")], next: told.querySelector("[data-older]")?.dataset.older ?? null };
}
