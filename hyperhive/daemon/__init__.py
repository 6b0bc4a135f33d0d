"""The daemon's own life: its lock, its signals, its configuration as it stands, what it tells the system."""
