"""The typed configuration, the single truth about every setting.

`config.yaml` holds the values and why one would change them; the modules here hold types, ranges and how
the parts must agree, one module per stage. A step imports the sections that it uses, and no others: what
it imports is part of its identity. The whole, `load_config`, is therefore imported when it is asked for.
"""

import importlib
from typing import Any

__all__ = ["Config", "dump", "load_config"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("mer_core.config.experiment"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
