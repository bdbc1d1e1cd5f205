"""The typed configuration, the single truth about every setting.

`config.yaml` holds the values and why one would change them; the modules here hold types, ranges and how
the parts must agree, one module per stage. A step imports the sections that it uses, and no others: what
it imports is part of its identity. The whole, `load_config`, is therefore imported when it is asked for.
"""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    experiment = importlib.import_module("mer_core.config.experiment")
    if name.startswith("_") or not hasattr(experiment, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(experiment, name)
