"""The rules: pure functions and plain values. Nothing here reads a clock, a database or a network."""
