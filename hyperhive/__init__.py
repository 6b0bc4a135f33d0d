"""A self-hosted supervisor for a swarm of Claude agents on one Linux host."""
