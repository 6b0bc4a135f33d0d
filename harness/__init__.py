"""What runs inside an agent's container; it imports nothing of the host's."""
