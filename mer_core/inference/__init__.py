"""A trained model at work: `load_model(folder).predict(image)`, the command `mer`, a local page."""

from mer_core.inference.model import Model, Prediction, load_model

__all__ = ["Model", "Prediction", "load_model"]
