// The one place where a string becomes markup: what the daemon's templates wrote, escaped there.

const policy = globalThis.trustedTypes?.createPolicy("hive", { createHTML: (markup) => markup });

/** Returns a document of markup that the daemon wrote; nothing in it runs. */
export function parse(markup) {
  return new DOMParser().parseFromString(policy ? policy.createHTML(markup) : markup, "text/html");
}
