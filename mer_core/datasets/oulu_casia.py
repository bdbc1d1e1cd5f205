"""Oulu-CASIA: sequences from a neutral face to the peak of one of six expressions, by person.

Zhao, Huang, Taini, Li, Pietikainen, Facial expression recognition from near-infrared videos, Image and Vision
Computing 29(9), 2011.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mer_core.config.layouts.oulu_casia import OuluCasia
from mer_core.datasets import frames
from mer_core.datasets.checks import assign_class
from mer_core.datasets.defects import Findings
from mer_core.datasets.frames import Root
from mer_core.datasets.manifest import new_sample
from mer_core.datasets.published import Published
from mer_core.datasets.trees import tell_unplaced

SETTINGS = OuluCasia
EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
# 80 people with one sequence each, by camera and light.
PUBLISHED = Published(labels=dict.fromkeys(EXPRESSIONS, 80))
KINDS = ("whole", "cropped")
NEUTRAL = 0  # number of a sequence's first frame, on which the face is neutral
EXAMPLE = "OriginalImg/VL/Strong/P012/Anger/000.jpeg"
_PERSON = re.compile(rf"p0*([1-9][0-9]{{0,2}}){frames.COPIED}", re.IGNORECASE)
_CAMERA = re.compile(r"(vl|ni)(?:_\w*)?", re.IGNORECASE)
_LIGHT = re.compile(r"strong|weak|dark", re.IGNORECASE)
Key = tuple[str, str]  # person, expression


@dataclass(frozen=True)
class Place:
    """A folder that holds a sequence, with its kind, and its files by frame number.

    Of a sequence in several parts it is the folder of the fullest.
    """

    folder: Path
    kind: str
    files: Mapping[int, Path]


def read(name: str, settings: OuluCasia, root: Root, findings: Findings) -> list[dict[str, Any]]:
    """One sample per used frame: the last `last_frames` of each sequence of the camera and the light.

    Args:
        name: of the dataset in the configuration.
        settings: of the dataset.
        root: the dataset's folder or any folder inside.
        findings: where defects go.

    Returns:
        Manifest rows by person, expression and frame.

    Raises:
        UserError: there are no frames of that camera, light and kind.
    """
    places = _find(name, settings, root, findings)
    whole, cropped = (sum(kind in {one.kind for one in found} for found in places.values()) for kind in KINDS)
    main = KINDS[0] if 2 * whole > cropped else KINDS[1]
    samples, instead, beside = [], [], []
    for key in sorted(places, key=lambda key: frames.natural_key("/".join(key))):
        joined = _join(places[key])
        used, *others = sorted(joined, key=lambda one: (one.kind != main, -len(one.files)))
        instead += [key] if used.kind != main else []
        beside += [(used, other) for other in others]
        samples += _samples(name, settings, key, used, root, findings)
    if instead:
        shown = ", ".join("/".join(key) for key in instead[:5])
        findings.add("mixed_kinds", f"{len(instead)} sequences that are not there as {main}: {shown}")
    for used, other in beside:
        action, where = f"{root.relative(used.folder)} is used", root.relative(other.folder)
        if more := sorted(other.files.keys() - used.files.keys()):
            action += f"; frames that lack there: {', '.join(map(str, more[:3]))}"
            findings.add("unused_frames", action, file=where)
        else:
            findings.add("unused_place", action, file=where)
    return samples


def list_subjects(settings: OuluCasia, root: Root) -> list[str]:
    """The people on disk, as the camera shows them in the light."""
    return sorted({person for person, _ in _find("oulu_casia", settings, root, Findings({}))})


def _find(name: str, settings: OuluCasia, root: Root, findings: Findings) -> dict[Key, list[Place]]:
    listing = [*frames.walk(root)]
    found: dict[Key, list[Place]] = defaultdict(list)
    conditions: dict[str, None] = {}
    for folder, names in listing:
        if not (files := frames.series(folder, names).files):
            continue
        camera, light = (_told(folder, pattern) for pattern in (_CAMERA, _LIGHT))
        kind = KINDS[any("crop" in parent.name.lower() for parent in _above(folder))]
        if (camera or settings.camera).upper() != settings.camera:
            conditions[f"camera: {camera.upper()}"] = None
        elif (light or settings.light).capitalize() != settings.light:
            conditions[f"light: {light.capitalize()}"] = None
        elif settings.frames not in ("auto", kind):
            conditions[f"frames: {kind}"] = None
        elif (person := _PERSON.fullmatch(folder.parent.name.strip())) is None:
            tell_unplaced(folder, names, EXAMPLE, root, findings)
        else:
            found[f"P{int(person[1]):03d}", frames.plain(folder.name)].append(Place(folder, kind, files))
    if not found:
        what = f"frames of {settings.camera} in {settings.light}"
        raise frames.nothing_there(name, what, EXAMPLE, listing, root, frames.of_settings(conditions))
    return found


def _join(places: list[Place]) -> list[Place]:
    """The parts of a sequence put together: folders of one kind that have no frame in common."""
    joined: list[Place] = []
    for place in sorted(places, key=lambda one: -len(one.files)):
        for index, whole in enumerate(joined):
            if whole.kind == place.kind and whole.files.keys().isdisjoint(place.files):
                joined[index] = replace(whole, files={**whole.files, **place.files})
                break
        else:
            joined.append(place)
    return joined


def _above(folder: Path) -> tuple[Path, ...]:
    """Camera, light and kind are told by the five folders above a sequence's, the root's own among them."""
    return tuple(folder.parents)[:5]


def _told(folder: Path, pattern: re.Pattern[str]) -> str | None:
    """What the nearest folder above says of the camera or the light; None where none does."""
    matches = (pattern.fullmatch(parent.name.strip()) for parent in _above(folder))
    return next((match[1] if match.re.groups else match[0] for match in matches if match), None)


def _samples(
    name: str, settings: OuluCasia, key: Key, place: Place, root: Root, findings: Findings
) -> list[dict[str, Any]]:
    (person, expression), numbered = key, place.files
    sequence, where = f"{name}/{person}/{expression}", root.relative(place.folder)
    chosen = sorted(numbered)[-settings.last_frames :]
    if len(chosen) < settings.last_frames:
        findings.add("short_sequence", f"the {len(chosen)} frames there are", row=sequence, file=where)
    if missing := chosen[-1] - chosen[0] + 1 - len(chosen):
        action = f"kept; {missing} missing, first {frames.first_gap(chosen, chosen[0])}"
        findings.add("frame_gaps", action, row=sequence, file=where)
    # A clip is read from one folder, so motion needs the neutral frame beside the peak.
    home = numbered[NEUTRAL].parent if NEUTRAL in numbered else None
    if home is None:
        findings.add("missing_onset_frame", f"kept; frame {NEUTRAL}", row=sequence, file=where)
    elif any(numbered[number].parent != home for number in chosen):
        action = f"kept; frame {NEUTRAL} lies in {root.relative(home)}; for motion put all into one folder"
        where_peak = root.relative(numbered[chosen[-1]].parent)
        findings.add("missing_onset_frame", action, row=sequence, file=where_peak)
    samples = []
    for number in chosen:
        path = root.relative(numbered[number])
        sample = new_sample(name, person, expression, sample_id=f"{sequence}/{number:03d}", frame_path=path)
        if number > NEUTRAL and numbered[number].parent == home:
            sample |= {"onset": NEUTRAL, "apex": number, "offset": number, "apex_source": "annotated"}
        assign_class(sample, expression, settings.classes, findings, where)
        samples.append(sample)
    return samples
