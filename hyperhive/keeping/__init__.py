"""Keeping and moving the record: backup and restore, import."""
