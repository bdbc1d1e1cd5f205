"""The paper's printed figures, and which measured variant each of them belongs to.

Xu, Zheng, Yang: Apex frame microexpression recognition based on dual attention model and transfer
learning. CAAI Transactions on Intelligent Systems, 2021, doi 10.11992/tis.202010031.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from statsmodels.stats.proportion import proportion_confint

CLIPS = 249
CKPLUS_ACCURACY = 94.38

# Section 3.1 and figure 5. The released coding file has 25 surprise and 7 sadness, hence 246 clips in
# the five classes; sadness and fear are left out in both.
CLASS_COUNTS = {
    "happiness": 32,
    "disgust": 63,
    "repression": 27,
    "surprise": 28,
    "others": 99,
    "sadness": 4,
    "fear": 2,
}
CLASSES = ("happiness", "disgust", "repression", "surprise", "others")
ATTENTIONS = ("none", "spatial", "channel", "dual", "cbam")


@dataclass(frozen=True)
class Printed:
    """One printed row.

    Args:
        table: 1, 2 or 3.
        method: the row's name as printed; the Chinese ones of Table 3 in English.
        accuracy: percent.
        f1: as printed (the paper does not say how it averages over classes); Table 3 only.
        attention, loss, init: settings of the variant that this row reports, loss being its kind; None
            for methods quoted from the literature.
        methods: names of the implemented methods that stand for a quoted one.
    """

    table: int
    method: str
    accuracy: float
    f1: float | None = None
    attention: str | None = None
    loss: str | None = None
    init: str | None = None
    methods: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str | None, str | None, str | None]:
        """What a variant's own settings are matched by."""
        return self.attention, self.loss, self.init

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Wilson's interval of the accuracy, percent; None for a quoted row, whose clips are not told.

        It takes the paper's 249 clips as independent, which those of one person are not, so it is too
        narrow; the paper gives nothing to do better with.
        """
        if self.attention is None:
            return None
        hits = round(self.accuracy / 100 * CLIPS)
        low, high = proportion_confint(hits, CLIPS, alpha=1 - confidence, method="wilson")
        return 100 * low, 100 * high


ROWS = (
    Printed(1, "ResNet18 + Cross Entropy Loss", 37.34, None, "none", "cross_entropy", "random"),
    Printed(1, "ResNet18 + Focal Loss", 38.55, None, "none", "focal", "random"),
    Printed(2, "ResNet18 (baseline)", 38.55, None, "none", "focal", "random"),
    Printed(2, "ResNet18 + spatial", 42.57, None, "spatial", "focal", "random"),
    Printed(2, "ResNet18 + channel", 40.96, None, "channel", "focal", "random"),
    Printed(2, "ResNet18 + spatial + channel", 43.37, None, "dual", "focal", "random"),
    Printed(3, "LBP", 39.68, 0.3589, methods=("lbp_apex", "lbptop_svm")),
    Printed(3, "OSW", 41.70, 0.3820, methods=("osw",)),
    Printed(3, "FDM", 41.96, 0.2972, methods=("fdm",)),
    Printed(3, "AdaBoost", 38.76, 0.2609, methods=("adaboost",)),
    Printed(3, "AdaBoost + STM + TIM", 43.78, 0.3337, methods=("adaboost_stm_tim",)),
    Printed(3, "This method (before transfer)", 43.37, 0.3513, "dual", "focal", "random"),
    Printed(3, "This method (after transfer)", 44.97, 0.3784, "dual", "focal", "pretrained"),
)


@dataclass(frozen=True)
class Source:
    """What the source of a network says, and what is left open there.

    Args:
        name: as its authors call it.
        figure: its own, with what it counts: classes, sets, protocol, and which epoch is scored.
        assumed: what is an assumption here; docs/methods.md has each.
    """

    name: str
    figure: str
    assumed: str


SOURCES = {
    "off_apexnet": Source(
        "OFF-ApexNet", "UF1 0.720; 3 classes, 3 sets, epoch not told", "activation, optimiser, epochs"
    ),
    "ststnet": Source("STSTNet", "UF1 0.735; 3 classes, 3 sets, last epoch", "flow settings"),
    "rcn_a": Source("RCN-A", "UF1 0.743; 3 classes, 3 sets, last epoch", "flow, size, epochs"),
    "learnet": Source("LEARNet", "accuracy 76.57 %; 7 classes, protocol in doubt", "all of the training"),
    "htnet": Source("HTNet", "UF1 0.860; 3 classes, 3 sets, best epoch on test", "width, epochs"),
    "mmnet": Source(
        "MMNet",
        "F1 0.868; 5 classes, best epoch on test",
        "alignment, onsets not drawn, schedule, normalisation",
    ),
    "dtscnn": Source("DTSCNN", "accuracy 66.67 %; 4 classes, 2 sets, protocol in doubt", "all but the idea"),
}
# Macro-F1 on five real classes above which a leak is likelier than a success: a guess from honest figures.
ALARM = 0.70

# Settings of the row that the others of its table are tested against.
BASELINES = {
    1: ("none", "cross_entropy", "random"),
    2: ("none", "focal", "random"),
    3: ("dual", "focal", "random"),
}
TRANSFER_GAIN_CLIPS = 4  # 108 and 112 of 249 clips; the paper cuts after two decimals


def has_the_papers_classes(classes: Iterable[str]) -> bool:
    """Whether the classes are the paper's five, without which its rows are not of this experiment."""
    return set(classes) == set(CLASSES)


def comparable(classes: Iterable[str], simulated: bool) -> bool:
    """Whether a measured figure may be held against a printed one: real clips in the paper's classes.

    Tables, figures and sentences ask here and nowhere else.

    Args:
        classes: the target's.
        simulated: whether the target's clips are.
    """
    return has_the_papers_classes(classes) and not simulated


def has_the_papers_source(layouts: Iterable[str], simulated: bool) -> bool:
    """Whether pretraining reads what the paper's does: images of CK+, and no others.

    Args:
        layouts: of the datasets that it reads.
        simulated: whether any of them is.
    """
    return [*layouts] == ["ckplus"] and not simulated


def belongs(table: int, attention: str, loss: str, init: str) -> bool:
    """Whether a variant belongs to a table of the paper, printed there or not.

    Table 1 compares losses on the plain network, Table 2 attention kinds under focal loss, neither with
    transfer, and of ResNet18 on the apex alone; Table 3 takes the method's two rows, and every variant that
    fits neither of the others.
    """
    first = attention == "none" and init == "random"
    second = attention in ATTENTIONS and loss == "focal" and init == "random"
    quoted = any(row.table == 3 and row.key == (attention, loss, init) for row in ROWS)
    return {1: first, 2: second, 3: quoted or not (first or second)}[table]
