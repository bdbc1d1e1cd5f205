"""How subjects, classes, datasets and variants may be named; alone, since training does without pydantic."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
