// The first script of a page: asks for its content and shows it, before what looks after it is even asked for.

import { ask } from "./ask.js";
import { key, takeFromAddress } from "./key.js";
import { parse } from "./parse.js";
import { fill } from "./times.js";

const PAINT_MS = 250; // a page that nobody looks at is not painted, and has to go on all the same

takeFromAddress();
const page = document.getElementById("page");
const name = document.body.dataset.page;

/** The ETag of what is shown, in a page where nothing answers yet; null where nothing could be had. */
export const shown = show().catch(() => null); // the page's own script will meet what went wrong, and say it

async function show() {
  if (key() === null) return null;
  const response = await ask(`/page/${name}`, { headers: { Accept: "text/html" } });
  page.append(...parse(await response.text()).body.childNodes);
  fill(page);
  page.inert = true;
  page.hidden = false;
  await new Promise((painted) => {
    requestAnimationFrame(() => setTimeout(painted));
    setTimeout(painted, PAINT_MS);
  });
  return response.headers.get("ETag");
}

shown.then(() => import(`./${name}.js`));
