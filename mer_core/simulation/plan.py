"""Which people, clips, sequences and action units the simulated data sets hold; no image is touched here.

The Snakefile imports this module at every dry run, so it needs NumPy and nothing else.
"""

from __future__ import annotations

import importlib
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from mer_core.config.datasets import Copy

# Clips per subject and per class. `full` repeats the published counts of the real sets; the
# others keep their imbalance, and `demo` has a subject with a single clip.
CASME2_CLIPS: dict[str, tuple[int, ...]] = {
    "tiny": (6, 5, 5, 4),
    "demo": (17, 13, 11, 10, 8, 1),
    "full": (9, 13, 7, 5, 19, 5, 9, 3, 14, 14, 10, 12, 8, 4, 3, 4, 36, 3, 16, 11, 2, 2, 12, 10, 7, 17),
}
CASME2_CLASSES: dict[str, dict[str, int]] = {
    "tiny": {"others": 4, "disgust": 4, "happiness": 4, "surprise": 4, "repression": 3, "sadness": 1},
    "demo": {
        "others": 20,
        "disgust": 13,
        "happiness": 9,
        "repression": 8,
        "surprise": 7,
        "sadness": 2,
        "fear": 1,
    },
    "full": {
        "others": 99,
        "disgust": 63,
        "happiness": 32,
        "repression": 27,
        "surprise": 25,
        "sadness": 7,
        "fear": 2,
    },
}
# CK+: subjects, of whom labelled, sequences of both kinds, and labelled sequences per class. `demo` has as
# many as transfer takes to show there (docs/recipe.md).
CKPLUS_SUBJECTS: dict[str, tuple[int, int]] = {"tiny": (6, 5), "demo": (54, 50), "full": (123, 118)}
CKPLUS_SEQUENCES: dict[str, int] = {"tiny": 16, "demo": 190, "full": 593}
CKPLUS_CLASSES: dict[str, dict[str, int]] = {
    "tiny": dict.fromkeys(("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"), 2),
    "demo": {
        "anger": 26,
        "contempt": 10,
        "disgust": 30,
        "fear": 16,
        "happy": 34,
        "sadness": 15,
        "surprise": 37,
    },
    "full": {
        "anger": 45,
        "contempt": 18,
        "disgust": 59,
        "fear": 25,
        "happy": 69,
        "sadness": 28,
        "surprise": 83,
    },
}
SIZES = tuple(CASME2_CLIPS)
# Who shows nothing else in the real set, so that as many people are left for three classes: 24.
CASME2_ONLY = dict.fromkeys(("sub10", "sub18"), ("others", "sadness", "fear"))

# What each class looks like: FACS action units and how often (relative), after EMFACS and the criteria
# and codes of the two data sets (Lucey et al. 2010, table 2; Yan et al. 2014, table 3). A leading L or R
# makes a unit one-sided. Classes share units, as the real ones do.
COMBINATIONS: dict[str, dict[str, float]] = {
    "happiness": {"12": 3, "6+12": 5, "6": 1, "12+25": 1, "R12": 1, "L12": 1},
    "happy": {"6+12+25": 6, "6+12": 3, "12+25": 1},
    "disgust": {"4+9": 3, "9": 3, "4+7+9": 2, "4+10": 2, "10": 2, "4+7+10": 1, "L10": 1, "7+9+17": 1},
    "repression": {"14": 4, "15": 2, "17": 3, "14+17": 2, "15+17": 3, "R14": 1, "L14": 1},
    "surprise": {"1+2+5+27": 5, "1+2+26": 3, "1+2+5+26": 2},
    "others": {"4": 5, "7": 2, "4+7": 5, "4+14": 1, "R4": 1, "4+5": 1, "4+7+17": 1},
    "anger": {"4+5+7+23": 4, "4+7+23+24": 3, "4+5+7+17+23": 3, "4+7+17+24": 2},
    "contempt": {"L14": 3, "R14": 3, "L12+L14": 1, "R12+R14": 1},
    "fear": {"1+2+4+5+20+25": 4, "1+4+5+20+25": 3, "1+2+4+5+26": 2, "1+2+4+20+25": 2},
    "sadness": {"1+4+15": 4, "1+4+15+17": 4, "1+15+17": 1, "1+4+17": 1},
    "neutral": {"": 1},
}
# What is shown in full, in the words of the data sets whose labels are nouns.
FULL = COMBINATIONS | {"happiness": COMBINATIONS["happy"]}
# A micro-expression of surprise rarely drops the jaw.
MICRO_SURPRISE = {"1+2": 5, "1+2+5": 3, "1+2+25": 2, "2+5": 1, "5": 1, "1+2+26": 1}
# Nor does one of sadness show brows and mouth at once.
MICRO_SADNESS = {"1": 2, "1+4": 4, "15": 2, "15+17": 2}
# What the other data sets of micro-expressions call otherwise.
MICRO = COMBINATIONS | {
    "other": COMBINATIONS["others"],
    "positive": COMBINATIONS["happiness"],
    "negative": COMBINATIONS["disgust"] | COMBINATIONS["anger"] | COMBINATIONS["sadness"],
    "surprise": MICRO_SURPRISE,
    "sadness": MICRO_SADNESS,
}
# What action units make each objective class (Davison, Merghani, Yap, Objective classes for micro-facial
# expression recognition, Journal of Imaging 4(10), 2018, table 1); all others make the seventh.
OBJECTIVE_CLASSES = {
    1: {"6", "12", "6+12", "6+7+12", "7+12"},
    2: {"1+2", "5", "25", "1+2+25", "25+26", "5+24"},
    3: {"23", "4", "4+7", "4+5", "4+5+7", "17+24", "4+6+7", "4+38"},
    4: {"10", "9", "4+9", "4+40", "4+5+40", "4+7+9", "4+9+17", "4+7+10", "4+5+7+9", "7+10"},
    5: {"1", "15", "1+4", "6+15", "15+17"},
    6: {"1+2+4", "20"},
}
VALENCES = {"happiness": "positive", "surprise": "surprise"}  # of the others it is negative
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII")


@dataclass(frozen=True)
class ActionUnit:
    """One FACS unit: its number, its side and its intensity as a share of the strongest."""

    number: int
    side: Literal["", "L", "R"]
    intensity: float


@dataclass(frozen=True)
class Clip:
    """One clip. Frame numbers are those of the recording; the cells are the table's, None without a table."""

    subject: str
    name: str
    label: str
    onset: int
    apex: int
    offset: int
    units: tuple[ActionUnit, ...]
    apex_cell: int | str | None
    units_cell: int | str
    macro: bool = False
    """Whether the expression is shown in full, and is no micro-expression."""

    @property
    def objective_class(self) -> int:
        """From 1 to 7, by the action units, whatever their sides."""
        text = "+".join(map(str, sorted({unit.number for unit in self.units})))
        return next((number for number, made in OBJECTIVE_CLASSES.items() if text in made), 7)

    @property
    def valence(self) -> str:
        """Of the expression: negative, positive or surprise."""
        return VALENCES.get(self.label, "negative")

    @property
    def kind(self) -> str:
        """Whether it is a micro-expression or a macro-expression."""
        return "macro-expression" if self.macro else "micro-expression"

    def intensity(self, number: int) -> float:
        """Share of the apex's strength at a frame: a smooth rise from 0, then a slower, partial return."""
        if number <= self.apex:
            share = (number - self.onset) / max(self.apex - self.onset, 1)
            return _ease(min(max(share, 0.0), 1.0))
        share = (number - self.apex) / max(self.offset - self.apex, 1)
        return 1.0 - 0.85 * _ease(min(share, 1.0))

    def is_kept(self, missing_apex: str) -> bool:
        """Whether the rule for apexes that are not annotated keeps the clip."""
        is_inside = isinstance(self.apex_cell, int) and self.onset < self.apex_cell < self.offset
        also = {"keep": (self.onset, self.offset), "keep_later": (self.offset,), "drop": ()}
        return is_inside or missing_apex not in also or self.apex_cell in also[missing_apex]

    def frames(self, mode: Literal["key", "all"]) -> list[int]:
        """Frame numbers to write, ascending.

        `key` is onset, apex and offset; where the table lacks a usable apex, also frames around the true
        one, so that there is something to spot.
        """
        if mode == "all":
            return list(range(self.onset, self.offset + 1))
        wanted = {self.onset, self.apex, self.offset}
        if self.apex_cell != self.apex:
            step = max(1, (self.offset - self.onset) // 10)
            wanted |= {self.apex + step * offset for offset in (-3, -2, -1, 1, 2, 3)}
        return sorted(number for number in wanted if self.onset <= number <= self.offset)


@dataclass(frozen=True)
class Sequence:
    """One CK+ sequence, from neutral (frame 1) to the peak (the last frame). Unlabelled: label ''."""

    subject: str
    name: str
    label: str
    length: int
    units: tuple[ActionUnit, ...]

    def intensity(self, number: int) -> float:
        """Share of the peak's strength at a frame: 0 at frame 1; the last frames are close to the peak."""
        return _ease(min(1.0, 1.05 * (number - 1) / (self.length - 1)))

    def frames(self, mode: Literal["key", "all"]) -> list[int]:
        """Frame numbers to write, ascending; `key` is the first and, of labelled sequences, the last five."""
        if mode == "all":
            return list(range(1, self.length + 1))
        last = 5 if self.label else 1
        return [1, *range(self.length - last + 1, self.length + 1)]


Sheets = dict[str, list[list[Any]]]
"""Rows of cells by the name of their sheet."""


@dataclass(frozen=True)
class ClipSet:
    """A data set of clips as it is simulated: who is in it, what is seen, and how it lies on disk.

    Attributes:
        names: of its subjects; sizes other than `full` have the first of them.
        counts: clips per subject by size.
        classes: clips per label by size.
        length: of clips in frames: median, spread of its logarithm, shortest, longest.
        start: the lowest onset, and the first number above the highest.
        name: of a clip, from its subject, its place among those of the subject, and its label.
        fps: frames per second of a clip.
        file: where a frame lies, from the clip, its place in the plan and the frame's number.
        step: how far apart in the cast the two stand who are mixed to a person, other than in other sets.
        tables: the annotation tables of the clips, by where they lie.
        cell: action units as the tables have them.
        flaws: what is wrong with the annotations.
        looks: label -> action units, where `MICRO` has others or none for it.
        only: subjects of `full` who show nothing but some labels.
        grey: whether the images have one channel.
        crop: edge in pixels of the square round the face that the images are; None: whole pictures.
        strength: of the apex, as a share of the full expression; None: that of a micro-expression.
        macro: who shows macro-expressions, which ones and how long: the same people, and maybe more.
        people_of: the layout of the data set that shows the same people; None: nobody else's.
        finish: what else lies in the folder.
    """

    names: list[str]
    counts: dict[str, tuple[int, ...]]
    classes: dict[str, dict[str, int]]
    length: tuple[float, float, int, int]
    start: tuple[int, int]
    name: Callable[[str, int, str], str]
    fps: Callable[[Clip], int]
    file: Callable[[Clip, int, int], str]
    step: int
    tables: Callable[[list[Clip]], dict[str, Sheets]] = lambda clips: {}
    cell: Callable[[tuple[ActionUnit, ...], np.random.Generator], int | str] = lambda units, rng: as_cell(
        units
    )
    flaws: Callable[[list[Clip], np.random.Generator], list[Clip]] = lambda clips, rng: clips
    looks: dict[str, dict[str, float]] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    grey: bool = False
    crop: int | None = None
    strength: float | None = None
    macro: ClipSet | None = None
    people_of: str | None = None
    finish: Callable[[Path, list[Clip]], None] = lambda folder, clips: None

    def people(self, size: str) -> list[str]:
        """The subjects of a size."""
        own = self.names[: len(self.counts[size])]
        return own if self.macro is None else [*dict.fromkeys([*own, *self.macro.people(size)])]

    def draw(self, size: str, rng: np.random.Generator) -> list[Clip]:
        """Lay out the clips of a size, macro-expressions behind micro-expressions."""
        clips = self._deal(size, rng)
        if self.macro is not None:
            clips += [replace(clip, macro=True) for clip in self.macro.draw(size, rng)]
        return self.flaws(clips, rng)

    def _deal(self, size: str, rng: np.random.Generator) -> list[Clip]:
        places = dict(zip(self.names, self.counts[size], strict=False))
        median, spread, shortest, longest = self.length
        clips = []
        only = self.only if size == "full" else {}
        looks = MICRO | self.looks
        for subject, labels in deal(self.classes[size], places, rng, only).items():
            for number, label in enumerate(labels, start=1):
                length = int(np.clip(np.rint(median * np.exp(rng.normal(0, spread))), shortest, longest))
                onset = int(rng.integers(*self.start))
                apex = onset + round((length - 1) * rng.uniform(0.3, 0.7))
                units = draw_units(looks[label.lower()], rng)
                name, cell = self.name(subject, number, label), self.cell(units, rng)
                clips.append(Clip(subject, name, label, onset, apex, onset + length - 1, units, apex, cell))
        return clips


def shares(total: int, people: int) -> tuple[int, ...]:
    """Clips per subject, uneven as in real sets, for those of which nobody published them."""
    weights = 0.97 ** np.arange(people)
    counts = 1 + np.floor((total - people) * weights / weights.sum()).astype(int)
    counts[: total - counts.sum()] += 1
    return tuple(counts.tolist())


def one_after_another(clips: list[Clip]) -> list[Clip]:
    """The same clips, those of one name later in its recording than the ones before."""
    free: dict[tuple[str, str], int] = {}
    placed = []
    for clip in clips:
        key = clip.subject, clip.name
        later = max(0, free.get(key, clip.onset) - clip.onset)
        onset, apex, offset = (number + later for number in (clip.onset, clip.apex, clip.offset))
        placed.append(replace(clip, onset=onset, apex=apex, offset=offset, apex_cell=apex))
        free[key] = offset + 20
    return placed


def module_of(layout: str) -> str:
    """The module that lays out the simulated stand-in of a layout."""
    return __name__ if layout in ("casme2", "ckplus") else f"mer_core.simulation.{layout}"


def clip_set(layout: str) -> ClipSet:
    """A data set that a module of its own describes, imported by its name so that none depends on others."""
    return importlib.import_module(module_of(layout)).CLIPS


def simulated_subjects(layout: str, size: str) -> list[str]:
    """Names of the subjects of a simulated data set, whatever the seed.

    Args:
        layout: casme2 (`sub01`, ...), ckplus (`S005`, `S010`, ...), or one with a module of its own.
        size: one of `SIZES`.
    """
    if layout == "casme2":
        return [f"sub{n:02d}" for n in range(1, len(CASME2_CLIPS[size]) + 1)]
    if layout == "ckplus":
        return ["S005", *(f"S{n:03d}" for n in range(10, 9 + CKPLUS_SUBJECTS[size][0]))]
    return clip_set(layout).people(size)


def cast_of(layout: str) -> str:
    """The layout whose people are seen in a simulated data set: its own, or one of the same people."""
    return layout if module_of(layout) == __name__ else clip_set(layout).people_of or layout


def people_used(dataset: Copy, size: str, seed: int) -> list[str]:
    """The subjects of whom something is used: no clip of some has a class, or an apex that can be used.

    Args:
        dataset: its section of the configuration.
        size, seed: of the simulation.
    """
    everybody = simulated_subjects(dataset.layout, size)
    if not dataset.has_clips:
        return everybody
    labels = {label.casefold() for label, name in dataset.classes.items() if name is not None}
    passed_over = {"micro": True, "macro": False}.get(getattr(dataset, "expressions", ""))
    used = {
        clip.subject
        for clip in plan(dataset.layout, size, seed)
        if labels & _told(clip, getattr(dataset, "labels", "emotion"))
        and clip.macro is not passed_over
        and clip.is_kept(dataset.missing_apex)
    }
    return [subject for subject in everybody if subject in used]


def _told(clip: Clip, labels: str) -> set[str]:
    """What the tables of the data sets say of a clip under a choice of labels."""
    told = {
        "objective": {str(clip.objective_class), ROMAN[clip.objective_class - 1].casefold()},
        "valence": {clip.valence},
        "type": {clip.kind},
    }
    return told.get(labels, {clip.label.casefold()})


@lru_cache(maxsize=16)
def plan(layout: str, size: str, seed: int) -> tuple[Clip, ...] | tuple[Sequence, ...]:
    """Lay out the recordings of a data set.

    Args:
        layout: as for `simulated_subjects`.
        size: one of `SIZES`.
        seed: everything but the subjects' names and the counts depends on it.
    """
    if layout == "casme2":
        return tuple(_casme2(size, stream(seed, "clips")))
    if layout == "ckplus":
        return tuple(_ckplus(size, stream(seed, "sequences")))
    return tuple(clip_set(layout).draw(size, stream(seed, f"clips of {layout.upper()}")))


def stream(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Random numbers for one purpose, the same whatever else is drawn and by which process."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *index])


def _casme2(size: str, rng: np.random.Generator) -> list[Clip]:
    subjects = simulated_subjects("casme2", size)
    places = dict(zip(subjects, CASME2_CLIPS[size], strict=True))
    labels = deal(CASME2_CLASSES[size], places, rng, CASME2_ONLY if size == "full" else {})
    clips = []
    for subject, of_subject in labels.items():
        for name, label in zip(_clip_names(len(of_subject), rng), of_subject, strict=True):
            length = int(np.clip(np.rint(61 * np.exp(rng.normal(0, 0.35))), 24, 141))
            onset = int(rng.integers(16, 300))
            apex = onset + round((length - 1) * rng.uniform(0.3, 0.7))
            units = draw_units(MICRO_SURPRISE if label == "surprise" else COMBINATIONS[label], rng)
            cell = as_cell(units)
            clips.append(Clip(subject, name, label, onset, apex, onset + length - 1, units, apex, cell))
    return _with_flaws(clips, rng)


def _with_flaws(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Annotation flaws of the real table: an apex that is no number, apexes at the ends, unknown units."""
    many = len(clips) >= 200
    usual = [i for i, clip in enumerate(clips) if clip.label not in ("sadness", "fear")]
    chosen = rng.permutation(usual)[: 11 if many else 4].tolist()
    slash, at_onset, *rest = chosen
    if many:  # as in the real table, which so has 88 negative clips with an apex that shows motion
        slash, at_onset = [i for i, clip in enumerate(clips) if clip.label == "disgust" and i not in rest][:2]
    at_offset, unknown = (rest[:4], rest[4:]) if many else (rest[:1], rest[1:])
    flawed = list(clips)
    flawed[slash] = replace(clips[slash], apex_cell="/")
    flawed[at_onset] = replace(clips[at_onset], apex_cell=clips[at_onset].onset)
    for i in at_offset:
        flawed[i] = replace(clips[i], apex_cell=clips[i].offset)
    for i in unknown:
        flawed[i] = replace(clips[i], units_cell="?")
    return flawed


def _ckplus(size: str, rng: np.random.Generator) -> list[Sequence]:
    subjects = simulated_subjects("ckplus", size)
    labelled = sorted(rng.permutation(subjects)[: CKPLUS_SUBJECTS[size][1]].tolist())
    classes, total = CKPLUS_CLASSES[size], CKPLUS_SEQUENCES[size]
    counts = _even(sum(classes.values()), labelled, rng)
    labels: dict[str, list[str]] = {subject: [] for subject in subjects} | deal(classes, counts, rng)
    # The rest has no emotion file; every subject without a label gets its first sequences from it.
    silent = [s for s in subjects if s not in labelled]
    extra = total - sum(classes.values())
    owners = [*silent, *rng.choice(subjects, extra - len(silent)).tolist()]
    for subject in owners:
        labels[subject].append("")
    sequences = []
    for subject in subjects:
        order = rng.permutation(len(labels[subject]))
        for number, index in enumerate(order, start=1):
            label = labels[subject][index]
            shown = label or str(rng.choice(list(classes)))
            units = draw_units(COMBINATIONS[shown], rng)
            sequences.append(Sequence(subject, f"{number:03d}", label, int(rng.integers(10, 36)), units))
    return sequences


def deal(
    classes: dict[str, int],
    places: dict[str, int],
    rng: np.random.Generator,
    only: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> dict[str, list[str]]:
    """Deal labels like cards, class after class, to subjects who have places left.

    A subject so gets as many different classes as it can hold. Those with most places come first, so
    that the rarest classes, which most experiments leave out, are nobody's only one. Before all of them come
    those in `only`, who take no other labels than the ones that stand there.
    """
    hands: dict[str, list[str]] = {subject: [] for subject in places}
    cards = [label for label, count in classes.items() for _ in range(count)]
    for subject in filter(hands.__contains__, only):
        hands[subject] = [label for label in cards if label in only[subject]][: places[subject]]
        for label in hands[subject]:
            cards.remove(label)
    while cards:
        shuffled = rng.permutation(list(places)).tolist()
        for subject in sorted(shuffled, key=lambda name: len(hands[name]) - places[name]):
            if cards and len(hands[subject]) < places[subject]:
                hands[subject].append(cards.pop())
    for hand in hands.values():
        rng.shuffle(hand)
    return hands


def _even(total: int, subjects: list[str], rng: np.random.Generator) -> dict[str, int]:
    shares = [total // len(subjects) + (i < total % len(subjects)) for i in range(len(subjects))]
    return dict(zip(rng.permutation(subjects).tolist(), shares, strict=True))


def draw_units(combinations: dict[str, float], rng: np.random.Generator) -> tuple[ActionUnit, ...]:
    """One of the combinations, by their shares, with intensities."""
    weights = np.array(list(combinations.values()), dtype=float)
    text = str(rng.choice(list(combinations), p=weights / weights.sum()))
    overall = rng.uniform(0.75, 1.0)
    units = []
    for code in filter(None, text.split("+")):
        side = code[0] if code[0] in "LR" else ""
        intensity = round(float(np.clip(overall * rng.uniform(0.8, 1.15), 0, 1)), 3)
        units.append(ActionUnit(int(code.removeprefix(side)), side, intensity))
    return tuple(units)


def as_cell(units: tuple[ActionUnit, ...]) -> int | str:
    """Action units as tables have them: a number where there is one two-sided unit, else text."""
    if len(units) == 1 and not units[0].side:
        return units[0].number
    return "+".join(f"{unit.side}{unit.number}" for unit in units)


def _clip_names(count: int, rng: np.random.Generator) -> list[str]:
    """Names such as EP02_01f; some lack the f, the leading zero or the number, as on disk."""
    names: list[str] = []
    while len(names) < count:
        episode, part = int(rng.integers(1, 20)), int(rng.integers(1, 16))
        name = str(
            rng.choice(
                [
                    f"EP{episode:02d}_{part:02d}",
                    f"EP{episode:02d}_{part:02d}f",
                    f"EP{episode:02d}_{part}",
                    f"EP{episode:02d}_{part:02d}_01",
                    f"EP{episode:02d}f",
                ],
                p=[0.66, 0.28, 0.02, 0.02, 0.02],
            )
        )
        if name not in names:
            names.append(name)
    return sorted(names)


def _ease(share: float) -> float:
    return 0.5 - 0.5 * math.cos(math.pi * share)
