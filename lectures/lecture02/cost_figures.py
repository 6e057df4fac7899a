"""What a determinant costs: operations counted while it is computed, and seconds against m for each linear flow.

    python lectures/lecture02/cost_figures.py [name ...]     redraws them into figures/, prints the tables of `linear.md`

``linear_cost`` is a measurement, so that no two runs draw quite the same picture. The counts are checked by
`tests/test_linear_claims.py`.
"""
import math
import os
import statistics
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")               # before NumPy is loaded: costs are those of one thread

import numpy as np  # noqa: E402
from matplotlib.ticker import NullLocator  # noqa: E402

from nfnumpy.flows.linear import KINDS, linear_flow  # noqa: E402
from nfnumpy.plot import BLUE, GREEN, GREY, ORANGE, YELLOW, new_figure  # noqa: E402

from drawing import redraw  # noqa: E402

COLOURS = {"diagonal": GREY, "triangular": YELLOW, "dense": ORANGE, "plu": BLUE, "qr": GREEN}
MARKERS = {"diagonal": "x", "triangular": "^", "dense": "o", "plu": "s", "qr": "D"}


# The cofactor expansion against LU

def cofactor_determinant(A):
    """``(det A, operations)`` of a list of rows by Laplace's expansion, and how many + - * it took: floor(e m!) - 2.

    >>> cofactor_determinant([[1.0, 2.0], [3.0, 4.0]])
    (-2.0, 3)
    """
    if len(A) == 1:
        return A[0][0], 0
    det, operations = 0.0, -1                                    # the first term is not added to anything
    for column, entry in enumerate(A[0]):
        minor, inside = cofactor_determinant([row[:column] + row[column + 1:] for row in A[1:]])
        det += (-1) ** column * entry * minor
        operations += inside + 2                                 # a product, a sum or difference; the sign is free
    return det, operations


def lu_determinant(A):
    """``(det A, operations)`` by elimination with row exchanges; + - * / counted: about 2 m^3 / 3.

    >>> lu_determinant([[1.0, 2.0], [3.0, 4.0]])
    (-2.0, 4)
    """
    A, det, operations = [list(row) for row in A], 1.0, -1       # det = 1 times the first pivot costs nothing
    for k in range(len(A)):
        pivot = max(range(k, len(A)), key=lambda row: abs(A[row][k]))
        if pivot != k:
            A[k], A[pivot], det = A[pivot], A[k], -det
        det *= A[k][k]
        operations += 1
        for row in A[k + 1:]:
            factor = row[k] / A[k][k]
            operations += 1
            for j in range(k + 1, len(A)):
                row[j] -= factor * A[k][j]
                operations += 2
    return det, operations


def cofactor_operations(m):
    """What `cofactor_determinant` counts: m! (1/0! + 1/1! + ... + 1/(m-1)!) - 1, which is floor(e m!) - 2."""
    return sum(math.factorial(m) // math.factorial(k) for k in range(m)) - 1


def lu_operations(m):
    """What `lu_determinant` counts: m (m-1) (2m-1) / 3 + m (m-1) / 2 + m - 1."""
    return m * (m - 1) * (2 * m - 1) // 3 + m * (m - 1) // 2 + m - 1


def cofactor_figure():
    """Operations of the two against m: counted while they run (dots), and by formula (lines)."""
    figure = new_figure(4.2, width=8.0)
    ax = figure.subplots()
    rng, counted, m = np.random.default_rng(0), range(2, 9), np.arange(2, 26)
    for formula, run, colour, words in ((cofactor_operations, cofactor_determinant, ORANGE, "cofactors: e m! - 2"),
                                        (lu_operations, lu_determinant, BLUE, r"LU: about $\frac{2}{3}$ m$^3$")):
        ax.plot(m, [float(formula(int(k))) for k in m], color=colour, linewidth=2)
        ax.plot(counted, [run(rng.standard_normal((k, k)).tolist())[1] for k in counted], "o", color=colour)
        ax.text(13.6, 3e13 if colour == ORANGE else 4e4, words, color=colour, fontsize=11, ha="right")
    year = 3.156e7                                               # in seconds
    for duration, words in ((1, "a second"), (year, "a year"), (1.38e10 * year, "the age of the universe")):
        ax.axhline(1e9 * duration, color="0.75", linewidth=1, zorder=0)
        ax.text(1.8, 1.6e9 * duration, words, color=GREY, fontsize=9)
    ax.set_yscale("log")
    ax.set_ylim(1, 1e29)
    ax.set_xlabel("m", fontsize=10)
    ax.set_ylabel("operations; grey: at 1e9 a second", fontsize=10)
    ax.set_title("The determinant of an m x m matrix (dots: counted while it ran)", fontsize=11)
    return figure


# Cost against m

SIZES = (4, 8, 16, 32, 64, 128, 256, 384, 512, 768, 1024)
FIT_FROM = 256
OPERATIONS = ("log-determinant", "its gradient", "inversion")


def operations(kind, m):
    """The three calls that `measure` times, ready to run: log_det, its gradient in theta, x = g(z) for one sample."""
    flow, x = linear_flow(m, kind, rng=0), np.random.default_rng(1).standard_normal((1, m))
    (z, _), vjp = flow.forward_vjp(x)
    nothing, out = np.zeros_like(z), np.empty(flow.n_params)
    return dict(zip(OPERATIONS, (lambda: flow.log_abs_det, lambda: vjp(nothing, 1.0, out), lambda: flow.inverse(z))))


def seconds(call, repetitions=9, shortest=2e-3):
    """Median CPU time of a call, in seconds; each repetition calls often enough to last `shortest`.

    CPU time of this process, not time on the wall: other people's work on the machine then counts less.
    """
    call()
    number, spent = 1, 0.0
    while spent < shortest:
        start = time.process_time()
        for _ in range(number):
            call()
        spent = time.process_time() - start
        number *= 1 if spent >= shortest else 2
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        for _ in range(number):
            call()
        times.append((time.process_time() - start) / number)
    return statistics.median(times)


def measure(sizes=SIZES, kinds=tuple(KINDS), **how):
    """``{operation: {kind: [seconds at each size]}}``: `seconds` of every kind's three operations."""
    table = {name: {kind: [] for kind in kinds} for name in OPERATIONS}
    for kind in kinds:
        for m in sizes:
            for name, call in operations(kind, m).items():
                table[name][kind].append(seconds(call, **how))
    return table


def exponent(sizes, times, start=FIT_FROM):
    """p of the least-squares line log time = p log m + c through the sizes from `start` on.

    >>> round(exponent((4, 256, 512, 1024), (9.0, 1.0, 4.0, 16.0)), 12)
    2.0
    """
    chosen = np.array(sizes) >= start
    return float(np.polyfit(np.log(np.array(sizes)[chosen]), np.log(np.array(times)[chosen]), 1)[0])


def cost_figure(table, sizes=SIZES):
    """Seconds against m for each operation and kind, both axes logarithmic, with the fitted exponents at the lines."""
    figure = new_figure(4.6)
    axes = figure.subplots(1, 3, sharey=True)
    for ax, (name, rows) in zip(axes, table.items()):
        for kind, times in rows.items():
            ax.plot(sizes, times, color=COLOURS[kind], marker=MARKERS[kind], markersize=4.5, linewidth=1.6,
                    label=f"{kind}: {exponent(sizes, times):.1f}")
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks([4, 16, 64, 256, 1024], ["4", "16", "64", "256", "1024"])
        ax.set_xlim(3, 2200)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("m", fontsize=10)
        ax.tick_params(labelsize=9)
        ax.set_title(name, fontsize=11)
        ax.legend(frameon=False, fontsize=9, loc="upper left", title=f"power of m from m = {FIT_FROM} on",
                  title_fontsize=9)
    m = np.array([128.0, 1024.0])
    for power, words in enumerate(("m", "m²", "m³"), 1):         # slopes to compare with
        axes[0].plot(m, 2e-6 * (m / 128) ** power, color="0.6", linewidth=1, zorder=0)
        axes[0].text(1100, 2e-6 * 8 ** power, words, color=GREY, fontsize=9, va="center")
    axes[0].set_ylim(3e-7, 2)
    axes[0].set_ylabel("seconds", fontsize=10)
    return figure


def efficiency(sizes, times, thirds):
    """1e9 operations a second, if each time is that of `thirds` m^3 / 3 of them: LU 2, m solves with L and U 6.

    >>> [round(speed, 12) for speed in efficiency([300], [0.018], thirds=2)]
    [1.0]
    """
    return [thirds / 3 * m ** 3 / t / 1e9 for m, t in zip(sizes, times)]


def print_costs(table, sizes=SIZES):
    """The tables that the page shows: fitted exponents, times at m = 1024, and the speed of dense LU."""
    print(f"measured on {time.strftime('%Y-%m-%d')}, exponents fitted from m = {FIT_FROM} to {sizes[-1]}")
    for kind in table[OPERATIONS[0]]:
        rows = [table[name][kind] for name in OPERATIONS]
        cells = (f"{exponent(sizes, row):.1f} ({row[-1] * 1e6:,.0f} us)" for row in rows)
        print(f"| {kind} | {' | '.join(cells)} |")
    for name, thirds in ((OPERATIONS[0], 2), (OPERATIONS[1], 6)):
        speed = efficiency(sizes, table[name]["dense"], thirds)
        print(f"dense, {name}, 1e9 operations a second:", ", ".join(f"{m}: {s:.1f}" for m, s in zip(sizes, speed)))


def measured_cost_figure():
    """`cost_figure` of times measured now, whose tables are printed."""
    table = measure()
    print_costs(table)
    return cost_figure(table)


FIGURES = {"linear_cofactor": cofactor_figure, "linear_cost": measured_cost_figure}

if __name__ == "__main__":
    redraw(FIGURES)
