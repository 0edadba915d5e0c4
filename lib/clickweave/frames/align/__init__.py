"""Fitting generated rows to the real table: keys, time, sessions, attributes."""
