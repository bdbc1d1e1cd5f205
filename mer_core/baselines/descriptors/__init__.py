"""How a clip is described: one module for each kind, imported by its name; `describe(clip, settings)`."""
