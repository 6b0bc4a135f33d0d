"""JSON lines over unix sockets: host.sock for people and tools, one socket for each agent."""
