// Glyphs for what a script writes: the same vectors that the templates use.

const SVG = "http://www.w3.org/2000/svg";

/** Returns a glyph; the words beside it say the same. */
export function glyph(name, motion = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", motion ? `g g-${motion}` : "g");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#g-${name}`);
  svg.append(use);
  return svg;
}
