"""Make the portraits of configs/portraits.yaml from their public source: 204 photographs of 102 people.

    python benchmarks/make_portraits.py ../shared/data/portraits                   # downloads 60 MB
    python benchmarks/make_portraits.py ../shared/data/portraits --zips downloads  # of files fetched by hand

Source: Face Research Lab London Set, Lisa DeBruine and Benedict Jones (2017), figshare, doi
10.6084/m9.figshare.5047666, licence CC BY 4.0: name it wherever a face is shown. Of its archives the
frontal neutral (neutral_front.zip, images *_03.jpg) and smiling faces (smiling_front.zip, *_08.jpg) are
used, reduced from 1350 to 640 pixels. Nobody's photograph is a part of this repository.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.request import urlopen

import pandas as pd
from PIL import Image

ARTICLE = "https://api.figshare.com/v2/articles/5047666"
ARCHIVES = {"neutral": ("neutral_front.zip", "_03.jpg"), "smile": ("smiling_front.zip", "_08.jpg")}
SIZE, QUALITY = 640, 90


def main() -> None:
    """Fetch what is not there, and write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where images/ and portraits.csv go")
    parser.add_argument("--zips", type=Path, help="folder that holds the two archives")
    arguments = parser.parse_args()
    archives = {}
    for label, (name, _) in ARCHIVES.items():
        archives[label] = (arguments.zips / name).read_bytes() if arguments.zips else fetch(name)
    table = write(arguments.folder, archives)
    print(f"{len(table)} photographs of {table['subject'].nunique()} people in {arguments.folder}")


def fetch(name: str) -> bytes:
    """One archive of the article, held against the checksum that figshare gives.

    Raises:
        SystemExit: the article has no such file, or it came damaged.
    """
    with urlopen(ARTICLE) as answer:
        files = {file["name"]: file for file in json.load(answer)["files"]}
    if name not in files:
        raise SystemExit(f"{ARTICLE}: has no {name} but {', '.join(files)}; fetch it by hand and give --zips")
    with urlopen(files[name]["download_url"]) as answer:
        data = answer.read()
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != files[name]["computed_md5"]:
        raise SystemExit(f"{name}: came damaged; run again")
    return data


def write(folder: Path, archives: dict[str, bytes]) -> pd.DataFrame:
    """Write images/ and portraits.csv of those who are in both archives; the table."""
    found = {label: dict(_photographs(data, ARCHIVES[label][1])) for label, data in archives.items()}
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for person in sorted(set.intersection(*map(set, found.values()))):
        for label, photographs in found.items():
            path = f"images/P{person}_{label}.jpg"
            image = Image.open(io.BytesIO(photographs[person])).convert("RGB")
            image.resize((SIZE, round(SIZE * image.height / image.width)), Image.Resampling.LANCZOS).save(
                folder / path, quality=QUALITY
            )
            rows.append({"path": path, "subject": f"P{person}", "label": label})
    table = pd.DataFrame(rows)
    table.to_csv(folder / "portraits.csv", index=False)
    return table


def _photographs(data: bytes, ending: str) -> Iterator[tuple[str, bytes]]:
    """Person, as three digits, and photograph; what else lies in the archive is passed over."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.namelist():
            name = PurePosixPath(member).name
            if name.endswith(ending) and name.removesuffix(ending).isdigit():
                yield name.removesuffix(ending), archive.read(member)


if __name__ == "__main__":
    main()
