// Asks the daemon, always with the key. What goes wrong is one of three errors, each with a sentence for people.

import { key } from "./key.js";

/** The daemon said no; `status` and `code` as it has them. */
export class Refusal extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** There is no key, or it opens nothing (any more). */
export class Locked extends Error {}

/** No answer came. */
export class Unreachable extends Error {}

/** Returns the response to a request that was not refused (so 304 is one). */
export async function ask(path, { method = "GET", headers = {}, body, signal } = {}) {
  const held = key();
  if (held === null) throw new Locked("");
  let response;
  try {
    response = await fetch(path, {
      method,
      body,
      signal,
      headers: { Accept: "application/json", Authorization: `Bearer ${held}`, ...headers },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable("the daemon does not answer");
  }
  if (response.ok || response.status === 304) return response;
  throw await refusalOf(response);
}

async function refusalOf(response) {
  const text = await response.text().catch(() => "");
  let told = {};
  try {
    told = JSON.parse(text);
  } catch {
    told = { error: text.trim() };
  }
  const reason = told.error || `the daemon answered ${response.status}`;
  if (response.status === 401) return new Locked(reason);
  return new Refusal(reason, response.status, told.code ?? "failed");
}
