"""clickweave: turns a real click log into a better, or a shareable, training set."""

__version__ = "0.1.0"
