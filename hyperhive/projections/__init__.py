"""What is so now: one fold per view, in memory and mirrored into tables."""
