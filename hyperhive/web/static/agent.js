// An agent's page: below /agent/NAME/ of the hive's own origin, or at the root of the agent's own port.

import { ask, Locked } from "./ask.js";
import { forget, key, onChange, takeFromAddress } from "./key.js";
import { askForKey, putAway } from "./login.js";

const page = document.getElementById("page");
const own = location.pathname === "/";
const base = own ? "" : location.pathname.replace(/\/$/, "");
const how = own ? "open this page from the dashboard" : undefined;

async function begin() {
  try {
    if (key() === null) throw new Locked("");
    const state = await (await ask(`${base}/api/state`)).json();
    page.textContent = `${state.name}: ${state.state}`;
    putAway();
  } catch (error) {
    if (!(error instanceof Locked)) throw error;
    if (error.message) forget();
    askForKey(error.message, begin, how);
  }
}

takeFromAddress();
onChange(() => location.reload());
begin();
