"""The command `mer`: what a trained model says of your own pictures, as a table or as a page."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from mer_core.csvs import harmless
from mer_core.errors import UserError
from mer_core.inference.preparation import Face, prepare
from mer_core.inference.sources import Source, find_sources
from mer_core.job import check_keeps, importing, is_out_of_memory, print_any_text, publish, writing

if TYPE_CHECKING:
    from mer_core.inference.model import Model, Prediction

BATCH = 64  # faces that are judged together
WORTH_A_PROCESS = 32  # sources; a process starts in a second
LOOPBACK = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when every source could be judged, 1 when one could not, 2 for wrong arguments."""
    options = _parser().parse_args(arguments)
    print_any_text()
    try:
        return options.run(options)
    except UserError as error:
        print(f"mer: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the table has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        print(
            f"mer: out of memory ({error}); give smaller or fewer pictures, or --processes 1", file=sys.stderr
        )
        return 2


def predict(options: argparse.Namespace) -> int:
    """`mer predict`: one row per face."""
    with importing():  # here, since the processes that look for faces do without
        import torch

        from mer_core.inference.model import load_model

    sources = list(find_sources(options.paths, options.clip, options.onset, options.apex))
    processes = min(options.processes, len(sources) // WORTH_A_PROCESS)
    if processes > 1:  # which need the other half of the cores
        torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    model = load_model(options.model, options.device)
    if model.input is not None and not all(source.is_clip for source in sources):
        raise UserError("this model sees motion; give videos, or folders of frames with --clip")
    if options.pictures:
        with writing(options.pictures):
            options.pictures.mkdir(parents=True, exist_ok=True)
    _check_keeps_inputs(options, sources)
    failed, drawn = 0, set()
    with _opened(options.output) as out:
        write = _Rows(out, model.description.classes, options.format, bool(options.pictures))
        judged = _judged(model, sources, processes, options.model)
        # Rows on a terminal show by themselves how far it is.
        for source, found in tqdm(judged, "judging", len(sources), disable=out.isatty() or None):
            if isinstance(found, str):
                failed += 1
                write.row({"file": source.name, "notes": found})
                continue
            for number, prediction in enumerate(found, 1):
                row = _row(source, number, prediction)
                if options.pictures:
                    from mer_core.inference.pictures import draw_prediction  # and matplotlib

                    row["picture"] = _picture(source, number, len(found), drawn)
                    draw_prediction(prediction, options.pictures / row["picture"])
                write.row(row)
        write.end()
    return 1 if failed else 0


def serve(options: argparse.Namespace) -> int:
    """`mer serve`: the local page."""
    with importing():
        from mer_core.inference.model import load_model
        from mer_core.inference.server import serve_model

    serve_model(load_model(options.model, options.device), options.host, options.port)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mer", description="Apex-frame micro-expression recognition by a trained model."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("model", metavar="MODEL", help="a folder that the workflow's rule train_final wrote")
    shared.add_argument("--device", help="where the network computes (default: on a GPU where there is one)")
    table = commands.add_parser("predict", parents=[shared], help="judge pictures and clips; print a table")
    table.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="image, folder, video, or CSV with a column 'path' (and 'onset', 'apex')",
    )
    table.add_argument("--clip", action="store_true", help="a folder is one clip, not so many pictures")
    table.add_argument(
        "--apex", type=int, metavar="N", help="the apex is the clip's frame N, from 0; else spotted"
    )
    table.add_argument(
        "--onset",
        type=int,
        metavar="N",
        help="motion is measured from the clip's frame N, from 0; else spotted",
    )
    table.add_argument("--format", choices=("csv", "json"), default="csv", help="of the table (default: csv)")
    table.add_argument(
        "--output", type=Path, metavar="FILE", help="write the table there; else it is printed"
    )
    table.add_argument("--pictures", type=Path, metavar="FOLDER", help="also draw each face with its answer")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    table.add_argument(
        "--processes", type=int, default=cores, help="that look for faces (default: %(default)s)"
    )
    table.set_defaults(run=predict)
    page = commands.add_parser("serve", parents=[shared], help="open a local page to drop pictures on")
    page.add_argument("--host", default=LOOPBACK, help="address to listen at (default: this machine alone)")
    page.add_argument("--port", type=int, default=8000, help="to listen at (default: %(default)s)")
    page.set_defaults(run=serve)
    return parser


def _check_keeps_inputs(options: argparse.Namespace, sources: Sequence[Source]) -> None:
    """Refuse outputs in place of lists, pictures, frames, videos or the model's own files."""
    inputs = [
        *map(Path, options.paths),
        *(file for source in sources for file in source.files),
        *Path(options.model).iterdir(),
    ]
    if options.output:
        check_keeps(inputs, [options.output], "name another --output")
    if options.pictures:  # whose names depend on how many faces are found
        pictures = [path for path in options.pictures.iterdir() if path.suffix.lower() == ".png"]
        check_keeps(inputs, pictures, "name a folder without inputs in --pictures")


def _judged(
    model: Model, sources: Sequence[Source], processes: int, folder: str
) -> Iterator[tuple[Source, list[Prediction] | str]]:
    """Each source with what its faces show, or with why it could not be judged; in order, in batches."""
    waiting: list[tuple[Source, list[Face] | str]] = []

    def flush() -> Iterator[tuple[Source, list[Prediction] | str]]:
        faces = [face for _, found in waiting if not isinstance(found, str) for face in found]
        answers = iter(model.judge(faces))
        for source, found in waiting:
            yield source, found if isinstance(found, str) else [next(answers) for _ in found]
        waiting.clear()

    for source, found in zip(sources, prepare(folder, model, sources, processes), strict=True):
        waiting.append((source, found))
        if sum(1 if isinstance(found, str) else len(found) for _, found in waiting) >= BATCH:
            yield from flush()
    yield from flush()


def _row(source: Source, number: int, prediction: Prediction) -> dict[str, Any]:
    face = prediction.face
    return {
        "file": source.name,
        "frame": face.frame,
        "onset": face.onset,
        "spotted": " and ".join(face.spotted),
        "face": number,
        "found_by": face.step,
        "answer": prediction.answer,
        **{f"p_{name}": round(value, 4) for name, value in prediction.probabilities.items()},
        "entropy_bits": round(prediction.entropy, 3),
        "distance": round(prediction.distance, 2),
        "inside": round(face.inside, 2),
        "notes": "; ".join(prediction.notes),
    }


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    """Where the table goes: a file that is there once it is whole, or what is printed.

    A link is followed, and a pipe or a device (/dev/stdout) written to: root would replace them by a file.
    """
    if path is None:
        yield sys.stdout
        return
    is_special = path.exists() and not path.is_file() and not path.is_dir()
    place = path.resolve() if path.is_symlink() else path
    with (
        writing(path),
        nullcontext(path) if is_special else publish(place) as temporary,
        # As `print_any_text`, for names of files that are no text; JSON escapes alike.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        yield file


class _Rows:
    """Writes rows as they come: CSV, or one JSON list."""

    def __init__(self, file: TextIO, classes: Sequence[str], style: str, pictures: bool) -> None:
        self.columns = [
            *("file", "frame", "onset", "spotted", "face", "found_by", "answer"),
            *(f"p_{name}" for name in classes),
            *("entropy_bits", "distance", "inside", "notes"),
            *(["picture"] if pictures else []),
        ]
        self.file, self.style, self.count = file, style, 0
        if style == "csv":
            self.table = csv.DictWriter(file, self.columns, lineterminator="\n")
            self.table.writeheader()

    def row(self, values: dict[str, Any]) -> None:
        if self.style == "csv":
            self.table.writerow({name: harmless(values.get(name)) for name in self.columns})
        else:
            self.file.write(",\n" if self.count else "[\n")
            json.dump({name: values.get(name) for name in self.columns}, self.file, ensure_ascii=False)
        self.count += 1
        self.file.flush()

    def end(self) -> None:
        if self.style == "json":
            self.file.write("\n]\n" if self.count else "[]\n")


def _picture(source: Source, number: int, faces: int, taken: set[str]) -> str:
    """The name of a face's picture: as its source, numbered where there are several faces or such sources."""
    stem = "_".join(Path(source.name).with_suffix("").parts[-2:]).strip("/\\")
    stem += f"_face{number}" if faces > 1 else ""
    names = (f"{stem}.png", *(f"{stem}_{again}.png" for again in range(2, len(taken) + 3)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name
