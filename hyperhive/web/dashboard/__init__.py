"""The dashboard: its sections, in the order in which they are read."""

from hyperhive.web.dashboard.sections import SECTIONS

__all__ = ["SECTIONS"]
