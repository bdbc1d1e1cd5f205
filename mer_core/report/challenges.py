"""Figures on the composites of MEGC 2018 and MEGC 2019 to stand below ours, of the whole and of its parts.

Yap, See, Hong, Wang: Facial micro-expressions grand challenge 2018 summary, FG 2018. See, Yap, Li, Hong,
Wang: MEGC 2019, the second facial micro-expressions grand challenge, FG 2019; its guidelines; and the public
READMEs of HTNet, CausalNet and MEB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mer_core.config.layouts.composite import MEGC2018, MEGC2019, Known
from mer_core.evaluation.metrics import possible, scores
from mer_core.report.typeset import Row

PEEKED = "epoch chosen on the test person"
MEANS = "means over people, each at the best epoch on that person"
ROUNDING = 5e-5
# MEGC 2019: method, then UF1 and UAR of the whole, SMIC, CASME II and SAMM, and what must be known of them.
ROWS_2019 = (
    ("LBP-TOP (challenge)", (0.5882, 0.5785), (0.2000, 0.5280), (0.7026, 0.7429), (0.3954, 0.4102), ""),
    ("Bi-WOOF", (0.6296, 0.6227), (0.5727, 0.5829), (0.7805, 0.8026), (0.5211, 0.5139), ""),
    ("OFF-ApexNet", (0.7196, 0.7096), (0.6817, 0.6695), (0.8764, 0.8681), (0.5409, 0.5392), ""),
    ("STSTNet", (0.7353, 0.7605), (0.6801, 0.7013), (0.8382, 0.8686), (0.6588, 0.6810), ""),
    ("Dual-Inception", (0.7322, 0.7278), (0.6645, 0.6726), (0.8621, 0.8560), (0.5868, 0.5663), ""),
    ("CapsuleNet", (0.6520, 0.6506), (0.5820, 0.5877), (0.7068, 0.7018), (0.6209, 0.5989), MEANS),
    ("EMR", (0.7885, 0.7824), (0.7461, 0.7530), (0.8293, 0.8209), (0.7754, 0.7152), ""),
    ("RCN", (0.7432, 0.7190), (0.6326, 0.6441), (0.8512, 0.8123), (0.7601, 0.6715), ""),
    ("FeatRef", (0.7838, 0.7832), (0.7011, 0.7083), (0.8915, 0.8873), (0.7372, 0.7155), ""),
    ("HTNet", (0.8603, 0.8475), (0.8049, 0.7905), (0.9532, 0.9516), (0.8131, 0.8124), PEEKED),
    (
        "CausalNet",
        (0.8976, 0.9020),
        (0.8390, 0.8452),
        (0.9811, 0.9858),
        (0.8780, 0.8582),
        "one case of several",
    ),
)
# MEGC 2018: method, then UAR of CASME II and of SAMM, each answered by what was trained on the other.
ROWS_2018 = (("SSSNet (MEB)", 0.5620, 0.6988),)
PUBLISHED_FLOOR = "always the commonest class, published counts"
NOTES = (
    "Printed rows are quoted; nothing is known of them but what stands here. Published counts are those of "
    "the challenge: where their floor differs from ours, so do the clips.",
)
NOTES_2018 = ("MEGC 2018 takes the means over both parts of UAR and of accuracy, which it calls WAR.",)
NOTES_2019 = (
    "No table: no counts of true and predicted classes of this part give both figures, so that they were "
    "misprinted or pooled otherwise.",
)


def printed(known: Known, layouts: Mapping[str, str], is_holdout: bool) -> tuple[list[Row], list[str]]:
    """The rows that were measured in the same way, the floor of the published counts, and notes on them.

    Args:
        known: what the challenge counts.
        layouts: of the target's parts, by name.
        is_holdout: whether each part is answered by what was trained on the others.
    """
    names = {"whole": "whole"} | {layout: name for name, layout in layouts.items()}
    rows, notes = [_floor(known, names, is_holdout)], [*NOTES]
    if known is MEGC2018 and is_holdout:
        return [*_rows_2018(names), *rows], [*notes, *NOTES_2018]
    if known is MEGC2019 and not is_holdout:
        return [*_rows_2019(names), *rows], [*notes, *NOTES_2019]
    return rows, notes


def _supports(known: Known) -> dict[str, np.ndarray]:
    """Clips of each class of the whole, and of the parts by layout."""
    parts = {layout: np.array([*counts.values()]) for layout, (counts, _) in known.items()}
    return {"whole": sum(parts.values())} | parts


def _floor(known: Known, names: Mapping[str, str], is_holdout: bool) -> Row:
    """The constant answer: the commonest class of the whole, or of each part its own."""
    supports = _supports(known)
    whole = supports.pop("whole") if is_holdout else supports["whole"]
    row: Row = {"kind": "printed", "method": PUBLISHED_FLOOR}
    for layout, support in supports.items():
        answer = (support if is_holdout else whole).argmax()
        score = scores(np.outer(support, np.eye(len(support))[answer]))
        row |= {f"{names[layout]}_accuracy": 100 * float(score["accuracy"])}
        row |= {f"{names[layout]}_{metric}": float(score[metric]) for metric in ("macro_f1", "uar")}
    return row


def _rows_2018(names: Mapping[str, str]) -> Iterator[Row]:
    for method, casme2, samm in ROWS_2018:
        figures = {f"{names['casme2']}_uar": casme2, f"{names['samm']}_uar": samm}
        yield {"kind": "printed", "method": f"{method}, printed"} | figures


def _rows_2019(names: Mapping[str, str]) -> Iterator[Row]:
    supports = _supports(MEGC2019)
    for method, *cells, remark in ROWS_2019:
        row: Row = {"kind": "printed", "method": f"{method}, printed"}
        notes = [remark] if remark else []
        for layout, (uf1, uar) in zip(("whole", "smic", "casme2", "samm"), cells, strict=True):
            row |= {f"{names[layout]}_macro_f1": uf1, f"{names[layout]}_uar": uar}
            if not possible(uf1, uar, supports[layout].tolist(), ROUNDING):
                notes.append(f"no table: {names[layout]}")
        yield row | {"note": "; ".join(notes)}
