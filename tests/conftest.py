"""Settings of all tests."""

from hypothesis import settings

# The same cases every time, and no time limit that a busy machine would break.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
