"""The workflow's rules as a drawn graph, laid out here so that no graphviz is needed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from itertools import combinations, pairwise

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from scipy.optimize import isotonic_regression

from mer_core.evaluation.figures import GREY, INK, styled

ROW, BOX = 0.62, 0.27  # inches from row to row, and the height of a box

Edge = tuple[str, str]
Node = str | tuple[str, str, int]  # a rule, or the way point of an edge (start, end) on a row
Neighbours = Mapping[Node, list[Node]]


def read_edges(mermaid: str) -> list[Edge]:
    """The (rule, rule that needs it) pairs in what `snakemake --rulegraph mermaid-js` prints."""
    names = dict(re.findall(r"^\s*(id\d+)\[(.+?)\]\s*$", mermaid, re.MULTILINE))
    arrows = re.findall(r"^\s*(id\d+) --> (id\d+)\s*$", mermaid, re.MULTILINE)
    return sorted((names[start], names[end]) for start, end in arrows)


@styled
def workflow_graph(edges: Iterable[Edge]) -> Figure:
    """Draw rules from the data at the top down to the report.

    Args:
        edges: (rule, rule that needs it) pairs without a cycle.

    Returns:
        One box per rule. An edge that a longer way implies is left out, to be readable.

    Raises:
        graphlib.CycleError: the edges go round in a circle.
    """
    edges = _reduce(sorted(set(edges)))
    level = _levels(edges)
    paths, rows = _route(edges, level)
    x = _place(paths, rows)
    left = min(x[node] - _width(node) / 2 for node in x) - 0.05
    right = max(x[node] + _width(node) / 2 for node in x) + 0.05
    figure = Figure(figsize=(right - left, ROW * len(rows)))
    figure.get_layout_engine().set(w_pad=0, h_pad=0)  # the axes fill the figure: x is in inches
    panel = figure.subplots(subplot_kw={"xlim": (left, right), "ylim": (len(rows) - 0.5, -0.5)})
    panel.axis("off")
    half = BOX / ROW / 2
    for path in paths:
        steps = [(x[node], level[path[0]] + step) for step, node in enumerate(path)]
        across, down = zip(*[(x, y + side) for x, y in steps for side in (-half, half)][1:-1], strict=True)
        panel.plot(across, down, color=GREY, linewidth=1, zorder=1, solid_joinstyle="round")
        tip = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0, "shrinkA": 0, "shrinkB": 0}
        panel.annotate("", (across[-1], down[-1]), (across[-2], down[-2]), arrowprops=tip, zorder=1)
    for rule, row in level.items():
        size = _width(rule), 2 * half
        shape = {"boxstyle": "round,pad=0,rounding_size=0.06", "facecolor": "white", "edgecolor": INK}
        corner = (x[rule] - size[0] / 2, row - half)
        panel.add_patch(FancyBboxPatch(corner, *size, linewidth=0.8, mutation_aspect=1 / ROW, **shape))
        panel.text(x[rule], row, rule, ha="center", va="center", fontsize=8)
    return figure


def _reduce(edges: list[Edge]) -> list[Edge]:
    """Transitive reduction: an edge goes when its end can be reached another way."""
    after = defaultdict(set)
    for start, end in edges:
        after[start].add(end)

    def reach(node: str) -> set[str]:
        found: set[str] = set()
        waiting = [*after[node]]
        while waiting:
            found.add(step := waiting.pop())
            waiting += after[step] - found
        return found

    TopologicalSorter({start: ends for start, ends in after.items()}).prepare()  # refuses a cycle
    return [(a, b) for a, b in edges if not any(b in reach(c) for c in after[a] - {b})]


def _levels(edges: list[Edge]) -> dict[str, int]:
    """The longest way to each rule, then sources pulled down to just above what needs them."""
    before = defaultdict(set)
    for start, end in edges:
        before[end].add(start)
        before[start] |= set()
    order = [*TopologicalSorter(before).static_order()]
    level: dict[str, int] = {}
    for rule in order:
        level[rule] = 1 + max((level[needed] for needed in before[rule]), default=-1)
    for rule in order:
        needing = [level[end] for start, end in edges if start == rule]
        if not before[rule] and needing:
            level[rule] = min(needing) - 1
    return level


def _route(edges: list[Edge], level: dict[str, int]) -> tuple[list[list[Node]], list[list[Node]]]:
    """Each edge as a chain of nodes, one per level: an edge over several levels gets way points."""
    rows: list[list[Node]] = [[] for _ in range(max(level.values()) + 1)]
    for rule, row in level.items():
        rows[row].append(rule)
    paths = []
    for start, end in edges:
        between = [(start, end, row) for row in range(level[start] + 1, level[end])]
        for point in between:
            rows[point[-1]].append(point)
        paths.append([start, *between, end])
    return paths, rows


def _place(paths: list[list[Node]], rows: list[list[Node]]) -> dict[Node, float]:
    """The x of every node, in inches: neighbours one above the other, as far as boxes leave room.

    The order within the rows comes first; then every node is drawn to the mean of its neighbours, with
    the least displacement that keeps the order and the gaps (isotonic regression).
    """
    above, below = _neighbours(paths)
    rows = _order(paths, rows, above, below)
    near = {node: above[node] + below[node] for row in rows for node in row}
    for path in paths:
        for point in path[1:-1]:
            near[point] += path[1:-1]  # so that a long edge runs straight
    x = _in_a_row(rows)
    for sweep in range(60):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            widths = np.array([_width(node) + 0.25 for node in row])
            offsets = np.cumsum(widths) - widths / 2
            goals = np.array([_mean(near[node], x) for node in row])
            kept = (
                isotonic_regression(goals - offsets, weights=[_stiffness(node) for node in row]).x + offsets
            )
            x |= dict(zip(row, kept.tolist(), strict=True))
    return x


def _order(
    paths: list[list[Node]], rows: list[list[Node]], above: Neighbours, below: Neighbours
) -> list[list[Node]]:
    """The order within the rows with the fewest crossings found: barycentres, from several beginnings."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(12):
        order = [[row[k] for k in generator.permutation(len(row))] for row in rows]
        for sweep in range(6):
            x = _in_a_row(order)
            near, down = (above, order) if sweep % 2 == 0 else (below, reversed(order))
            for row in down:
                row.sort(key=lambda node: np.mean([x[other] for other in near[node]] or x[node]))
                x |= _in_a_row([row])
            found.append([[*row] for row in order])
    return min(found, key=lambda order: _crossings(order, paths))


def _neighbours(paths: list[list[Node]]) -> tuple[Neighbours, Neighbours]:
    above, below = defaultdict(list), defaultdict(list)
    for path in paths:
        for upper, lower in pairwise(path):
            above[lower].append(upper)
            below[upper].append(lower)
    return above, below


def _in_a_row(rows: list[list[Node]]) -> dict[Node, float]:
    return {node: place - len(row) / 2 for row in rows for place, node in enumerate(row)}


def _crossings(rows: list[list[Node]], paths: list[list[Node]]) -> int:
    """How many pairs of lines between neighbouring rows cross."""
    place = {node: (y, x) for y, row in enumerate(rows) for x, node in enumerate(row)}
    lines = [(*place[one], place[other][1]) for path in paths for one, other in pairwise(path)]
    return sum(y == v and (a - c) * (b - d) < 0 for (y, a, b), (v, c, d) in combinations(lines, 2))


def _mean(nodes: list[Node], x: dict[Node, float]) -> float:
    return float(np.average([x[node] for node in nodes], weights=[_stiffness(node) for node in nodes]))


def _stiffness(node: Node) -> float:
    return 1.0 if isinstance(node, str) else 6.0  # way points hold together, so that long edges run straight


def _width(node: Node) -> float:
    """Inches that a node takes: a rule's box with its name, or the way point of a long edge."""
    return 0.07 * len(node) + 0.3 if isinstance(node, str) else 0.0
