// Buttons that say how their press went: what they were before, and what they should become once they have said it.

const held = new WeakMap();

/** Notes what a button is, before it says something else. */
export function hold(button) {
  if (held.has(button)) return;
  held.set(button, { text: button.textContent, nodes: [...button.childNodes], wanted: null });
}

/** Gives a button back as it was; returns what the page has wanted of it meanwhile, if anything. */
export function release(button) {
  const was = held.get(button);
  if (!was) return null;
  held.delete(button);
  button.replaceChildren(...was.nodes);
  return was.wanted;
}

/** Whether the page may change a button now. One that is busy or has failed is changed once it is released; one that
 * is done at once, where the page wants something else of it than before the press. */
export function mayChange(button, wanted) {
  const was = held.get(button);
  if (!was) return false;
  if (button.dataset.state === "done" && wanted.textContent !== was.text) return true;
  was.wanted = wanted.cloneNode(true);
  return false;
}

/** Forgets a button that the page has changed. */
export function drop(button) {
  held.delete(button);
}
