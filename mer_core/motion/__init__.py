"""An aligned clip as arrays, and its motion: flow, strain, interpolation in time."""
