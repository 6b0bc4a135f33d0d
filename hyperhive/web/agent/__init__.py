"""An agent's page: what its sessions said and did, made of raw messages that nobody has to trust."""
