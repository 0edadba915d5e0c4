"""Hypothesis without deadlines: the first example of a property pays for imports."""

from hypothesis import settings

settings.register_profile("clickweave", deadline=None, max_examples=60)
settings.load_profile("clickweave")
