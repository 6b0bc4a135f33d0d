// While the daemon is away nothing can be sent: each button that would is off and says why, and is afterwards what it was.

const WHY = "the daemon is disconnected";

let had = null; // the button that had the focus when it was turned off

/** Whether the page has lost the daemon. */
export function isAway() {
  return document.documentElement.dataset.live === "disconnected";
}

/** Turns what sends off or on again, as the connection stands; also after some of the page was written anew. */
export function settleAway(root) {
  const away = isAway();
  for (const button of root.querySelectorAll("form[data-act] button:not([type=button])")) {
    if (away && !button.disabled) turnOff(button);
    else if (!away && button.dataset.away !== undefined) turnOn(button);
  }
}

function turnOff(button) {
  if (document.activeElement === button) had = button;
  button.dataset.away = button.title;
  button.title = WHY;
  button.disabled = true;
}

function turnOn(button) {
  if (button.dataset.away) button.title = button.dataset.away;
  else button.removeAttribute("title");
  delete button.dataset.away;
  button.disabled = false;
  if (had === button && document.activeElement === document.body) button.focus();
  if (had === button) had = null;
}
