"""A trained model at work: `load_model(folder).predict(image)`, the command `mer`, a local page."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mer_core.inference.model import Model, Prediction, load_model

__all__ = ["Model", "Prediction", "load_model"]


def __getattr__(name: str) -> Any:
    # When it is asked for: processes that look for faces need no torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mer_core.inference import model

    return getattr(model, name)
