"""How subjects, classes, datasets and variants may be named; alone, since training does without pydantic."""

import re
import unicodedata

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"


def plain(text: str) -> str:
    """A text in one spelling: letters composed, since a Mac writes e and its accent apart, blanks and wide
    letters as the common ones (NFKC), without what cannot be seen; no case."""
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", seen).strip().casefold()


def plain_label(text: str) -> str:
    """A label in one spelling, in which runs of blanks do not matter either."""
    return " ".join(plain(text).split())


def person_key(subject: str) -> str:
    """A subject in one spelling, in which neither case nor zeros before a number matter: s1 of S001."""
    return re.sub("(?<![0-9])0+(?=[0-9])", "", subject.casefold())
