"""Printed figures on the composite of MEGC 2019: UF1 and UAR of the whole and of its parts.

See, Yap, Li, Hong, Wang: MEGC 2019, the second facial micro-expressions grand challenge, FG 2019; its
guidelines; and the public READMEs of HTNet and CausalNet.
"""

from __future__ import annotations

from collections.abc import Mapping

from mer_core.config.layouts.composite import MEGC2019
from mer_core.evaluation.metrics import possible
from mer_core.report.typeset import Row

PEEKED = "epoch chosen on the test person"
MEANS = "means over people, each at the best epoch on that person"
ROUNDING = 5e-5
# Method, then UF1 and UAR of the whole, SMIC, CASME II and SAMM, and what must be known of them.
ROWS = (
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
NOTES = (
    "Printed rows are quoted; nothing is known of them but what stands here.",
    "No table: no counts of true and predicted classes of this part give both figures, so that they were "
    "misprinted or pooled otherwise.",
)


def printed_rows(layouts: Mapping[str, str]) -> list[Row]:
    """The rows, with what must be known of each.

    Args:
        layouts: of the target's parts, by name.
    """
    supports = {layout: [*counts.values()] for layout, (counts, _) in MEGC2019.items()}
    supports["whole"] = [sum(counts) for counts in zip(*supports.values(), strict=True)]
    names = {"whole": "whole"} | {layout: name for name, layout in layouts.items()}
    rows = []
    for method, *cells, remark in ROWS:
        row: Row = {"kind": "printed", "method": f"{method}, printed"}
        notes = [remark] if remark else []
        for layout, (uf1, uar) in zip(("whole", "smic", "casme2", "samm"), cells, strict=True):
            row |= {f"{names[layout]}_macro_f1": uf1, f"{names[layout]}_uar": uar}
            if not possible(uf1, uar, supports[layout], ROUNDING):
                notes.append(f"no table: {names[layout]}")
        rows.append(row | {"note": "; ".join(notes)})
    return rows
