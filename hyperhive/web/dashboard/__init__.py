"""The dashboard: what each of its sections shows."""
