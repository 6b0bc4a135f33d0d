"""The only way out for agents that are kept from the network: a proxy at a unix socket of each one's own."""
