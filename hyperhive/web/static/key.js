// The key: taken from the address once, kept for this origin (scheme, host and port), sent with every request.
// No cookie holds it: a cookie would go to every port of this host, and agents may run servers there.

const NAME = "hyperhive.key";

/** Takes a key out of `#login=…`, and the fragment out of the address bar and the history. */
export function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("login");
  if (given === null) return;
  history.replaceState(history.state, "", location.pathname + location.search);
  if (given.trim()) keep(given.trim());
}

export function key() {
  return localStorage.getItem(NAME);
}

export function keep(given) {
  localStorage.setItem(NAME, given);
}

export function forget() {
  localStorage.removeItem(NAME);
}

/** Calls back when another tab of this origin has taken or lost a key. */
export function onChange(callback) {
  addEventListener("storage", (event) => {
    if (event.key === NAME || event.key === null) callback();
  });
  addEventListener("hashchange", () => {
    const before = key();
    takeFromAddress();
    if (key() !== before) callback();
  });
}
