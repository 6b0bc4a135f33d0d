"""Command dispatch for people and scripts."""
