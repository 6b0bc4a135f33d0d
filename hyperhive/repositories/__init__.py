"""Git repositories of agents' configurations, proposed and applied; knows nothing of events."""
