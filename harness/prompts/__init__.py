"""What is appended to the system prompt: a page for each role, the same for every turn."""

from __future__ import annotations

from pathlib import Path

from harness.settings import Role


def system_prompt(agent: str, role: Role, state: Path, extra: str = "") -> str:
    """Return a role's page for an agent of this name and home, and after it what the host adds."""
    page = Path(__file__).with_name(f"{role}.md").read_text(encoding="utf-8")
    page = page.replace("{name}", agent).replace("{state}", str(state))
    return f"{page.strip()}\n\n{extra.strip()}".strip()
