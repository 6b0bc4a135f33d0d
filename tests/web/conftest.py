"""Fixtures of this room."""

from tests.web.browser import _browser, chromium

__all__ = ["_browser", "chromium"]
