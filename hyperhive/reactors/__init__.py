"""What must be done: each reactor reads a fold, does one thing outside, and dispatches the outcome."""
