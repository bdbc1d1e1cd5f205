"""Apex-frame micro-expression recognition: the library behind the workflow."""

__version__ = "0.1.0"
