"""The past page: the dashboard as it stood at any moment, and the track that leads there."""
