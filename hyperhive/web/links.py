"""Links that log in: the key stands in the fragment, which reaches no server, no log and no referrer."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from hyperhive.commands.errors import NotFound
from hyperhive.events.envelope import OPERATOR
from hyperhive.web.access import Person
from hyperhive.web.site import Site


@attrs.frozen(kw_only=True)
class Links:
    """Makes links for who may have them."""

    home: str
    """The dashboard's address, with a slash at its end."""
    site: Site

    def home_link(self, key: str | None = None) -> str:
        """Return a link to the dashboard, with the operator's own key unless another is given."""
        return f"{self.home}#login={key or self.site.token}"

    def agent_link(self, name: str) -> str:
        """Return a link to an agent's page: on its own port, or where nobody listens there, on the dashboard's.

        Raises `NotFound`.
        """
        if name not in self.site.dispatcher.hive.agents:
            raise NotFound(f"no agent {name[:80]!r}; hyperhive ps lists them")
        origin = self.site.agent_origin(name, urlsplit(self.home).netloc)
        if origin is None:
            return f"{self.home}agent/{name}/#login={self.site.token}"
        return f"{origin}/#login={self.site.agent_keys.make(name, Person(OPERATOR))}"
