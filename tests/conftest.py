"""Settings of all tests."""

from hypothesis import settings

# The same cases every time, and no time limit that a busy machine would break.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items):
    # Whole runs first: a worker that begins one last would be waited for. xdist keeps this order of files.
    items.sort(key=lambda item: item.get_closest_marker("workflow") is None)
