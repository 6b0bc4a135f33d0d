"""Where agents live: one protocol, and the runtimes that keep it."""
