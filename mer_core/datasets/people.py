"""People who are seen in two datasets: whom a fold leaves out, its pretraining has not seen either."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pandas as pd

from mer_core.config.names import person_key
from mer_core.errors import UserError


class Named(NamedTuple):
    """The name of a dataset, and its manifest."""

    name: str
    manifest: pd.DataFrame

    def of(self, part: str) -> pd.Series:
        """The people of a part as it names them itself; a composite's subjects carry their dataset."""
        own = self.manifest.loc[self.manifest["dataset"] == part, "subject"]
        return own if part == self.name else own.str.removeprefix(f"{part}-")


def without(
    source: Named, target: Named, held_out: Collection[str], shared: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """The source's manifest in which nobody takes part whom a fold of the target leaves out.

    Args:
        source: what is pretrained on.
        target: what is tested on.
        held_out: subjects of the target.
        shared: pairs of a part of the target and one of the source that show the same people, named alike.

    Raises:
        UserError: two such parts have no name in common, or nothing is left.
    """
    manifest = source.manifest
    gone = pd.Series(False, manifest.index)
    for part, other in shared:
        tested, seen = target.of(part), source.of(other)
        people = seen.map(person_key)
        if not {*tested.map(person_key)} & {*people}:
            raise UserError(
                f"source: {other} shows the people of {part}, but none bears the same name in both "
                f"({_some(seen)}; {_some(tested)}), so that nobody can be kept out; name them alike, or name "
                "another source"
            )
        left_out = tested[target.manifest.loc[tested.index, "subject"].isin({*held_out})]
        gone[seen.index] |= people.isin({*left_out.map(person_key)})
    gone &= manifest["included"]
    rest = manifest.assign(
        included=manifest["included"] & ~gone,
        reason=manifest["reason"].mask(gone, "left out by the fold: the target shows this person, too"),
    )
    if not rest["included"].any():
        raise UserError(
            f"source: nothing of {source.name} is left without those whom one fold leaves out; leave fewer "
            "out at once, or name another source"
        )
    return rest


def _some(names: pd.Series) -> str:
    return ", ".join(sorted({*names})[:3]) or "nobody"
