"""Standing at other moments of the log; proving that the present follows from it."""
