// An agent's configurations, below its row: read when they are opened, and again when the page has changed.

import { ask } from "./ask.js";
import { morph } from "./morph.js";
import { parse } from "./parse.js";
import { fill } from "./times.js";

const open = new Set();

/** Shows the configurations in a block that was opened. */
export function showConfigs(block) {
  open.add(block);
  read(block);
}

export function hideConfigs(block) {
  open.delete(block);
}

/** Reads again what is open. */
export function readConfigs() {
  for (const block of open) {
    if (block.isConnected) read(block);
    else open.delete(block);
  }
}

async function read(block) {
  try {
    const path = `/page/config/${encodeURIComponent(block.dataset.configs)}`;
    const response = await ask(path, { headers: { Accept: "text/html" } });
    const wanted = parse(await response.text()).querySelector(".configs-log");
    const shown = block.querySelector(".configs-log");
    if (shown) morph(shown, wanted);
    else block.replaceChildren(wanted);
    fill(block);
  } catch (error) {
    if (block.firstElementChild) return; // what is shown stays until it can be read again
    block.append(Object.assign(document.createElement("p"), { className: "why", textContent: `not read: ${error.message}` }));
  }
}
