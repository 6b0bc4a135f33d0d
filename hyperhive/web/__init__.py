"""HTTP: health, and the state of the hive."""
