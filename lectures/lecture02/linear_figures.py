"""The pictures and the measurements of `linear.md`: what each linear flow reaches, what it costs, how errors grow.

    python lectures/lecture02/linear_figures.py        redraws figures/linear_*.png, prints the tables; about a minute

Each function whose name ends in `_figure` returns a `matplotlib.figure.Figure`; the others return numbers, which the
page quotes and `tests/test_linear_claims.py` checks.
"""
import math
import os
import pathlib
import statistics
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")               # before NumPy is loaded: costs are those of one thread

import numpy as np  # noqa: E402
from matplotlib.colors import Normalize  # noqa: E402
from matplotlib.ticker import NullLocator  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

import nfnumpy as nf  # noqa: E402
from nfnumpy.flows.linear import KINDS, linear_flow  # noqa: E402
from nfnumpy.plot import BLUE, GREEN, GREY, ORANGE, new_figure  # noqa: E402

FIGURES = pathlib.Path(__file__).resolve().parents[2] / "figures"
YELLOW, PURPLE = "#E69F00", "#CC79A7"                            # two more of Okabe and Ito's colours
COLOURS = {"diagonal": GREY, "triangular": YELLOW, "dense": ORANGE, "plu": BLUE, "qr": GREEN}
MARKERS = {"diagonal": "x", "triangular": "^", "dense": "o", "plu": "s", "qr": "D"}


# What each parametrization reaches

def rotation(degrees):
    """The matrix that turns the plane by an angle.

    >>> rotation(90).round(12) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def mirrored(degrees):
    """The same with its second column negated: a reflection, determinant -1."""
    return rotation(degrees) * [1, -1]


def families():
    """``{name: (make, from_rotation, from_reflection)}``: flows in the plane, and how far they stay from a target.

    ``make(target)`` is a flow of the family; ``from_rotation(degrees)`` and ``from_reflection(degrees)`` are the
    distances (Frobenius) from its closure, in closed form; `linear.md` derives them.
    """
    def frozen_at(start):
        constants = nf.PLU(2, W=start)
        return lambda target: nf.PLU(2, perm=constants.perm, signs=constants.signs)

    def zero(degrees):
        return 0.0

    def one(degrees):
        return 1.0

    return {
        "P = I, positive diagonal": (frozen_at(np.eye(2)), lambda degrees: max(0.0, -rotation(degrees)[0, 0]), one),
        "P L U, frozen at 120 degrees": (frozen_at(rotation(120)), lambda degrees: max(0.0, -rotation(degrees)[1, 0]),
                                         one),
        "P L U, frozen at the target": (lambda target: frozen_at(target)(target), zero, zero),
        "Q R with det W > 0": (lambda target: nf.QR(2, sign=1, rng=0), zero, one),
        "dense": (lambda target: nf.Dense(2, rng=0), zero, zero)}


def nearest(flow, target, starts=6, rng=0):
    """The smallest Frobenius distance from `target` that descent on theta finds, from several random starts.

    The flow's own gradients lead the way: the rows of z = f(I) are the columns of W. An infimum that is not reached
    lies where log_diagonal runs away, which bounds stop at -12.
    """
    rng, eye = np.random.default_rng(rng), np.eye(len(target))

    def loss(theta):
        flow.theta = theta
        (z, _), vjp = flow.forward_vjp(eye)
        difference = z - flow.b - target.T
        grad = flow.named(vjp(2 * difference, 0.0)[1])
        grad["b"][...] = 0                                       # the bias has nothing to do with W
        return (difference ** 2).sum(), np.concatenate([part.ravel() for part in grad.values()])

    bounds = [(-12.0, 12.0) if name == "log_diagonal" else (None, None)
              for name, part in flow.named().items() for _ in range(part.size)]
    best = math.inf
    for _ in range(starts):
        result = minimize(loss, rng.standard_normal(flow.n_params), jac=True, method="L-BFGS-B", bounds=bounds,
                          options={"maxiter": 5000, "maxfun": 20000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 30})
        best = min(best, math.sqrt(result.fun))
    return best


def reach_figure():
    """Angle against distance to the nearest matrix of each family: curves in closed form, dots by descent on theta."""
    figure = new_figure(4.6)
    axes = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
    angles = np.arange(0, 361)
    styles = {"P = I, positive diagonal": (ORANGE, 2.2, "-"), "P L U, frozen at 120 degrees": (BLUE, 2.2, "--"),
              "P L U, frozen at the target": (BLUE, 2.2, ":"), "Q R with det W > 0": (GREEN, 5.0, "-"),
              "dense": ("0.8", 11.0, "-")}
    for number, (ax, target) in enumerate(zip(axes, (rotation, mirrored))):
        for name in reversed(styles):                            # the widest first: lines that coincide stay visible
            (make, *closed_forms), (colour, width, dashes) = families()[name], styles[name]
            distance = closed_forms[number]
            ax.plot(angles, [distance(t) for t in angles], color=colour, linewidth=width, linestyle=dashes)
            if number == 0:
                dots = [t for t in range(0, 361, 30) if distance(t) > 0.01]
                found = [nearest(make(target(t)), target(t), starts=3) for t in dots]
                ax.plot(dots, found, "o", color=colour, markersize=6)
        ax.set_xticks([0, 90, 180, 270, 360])
        ax.set_xlabel("angle, degrees", fontsize=10)
        ax.tick_params(labelsize=9)
        ax.set_ylim(-0.17, 1.25)
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    first, second = axes
    first.set_ylabel("distance from W to the nearest reachable matrix", fontsize=10)
    first.set_title("W a rotation, det W = 1 (dots: by descent on theta)", fontsize=11)
    second.set_title("W a reflection, det W = -1", fontsize=11)
    first.plot([120, 120], [0, 0.5], color=ORANGE, linewidth=1, linestyle=":")
    first.plot(120, 0.5, "o", color=ORANGE, markersize=10)
    first.text(108, 0.5, "120 degrees:\n1/2 away", color=ORANGE, fontsize=10, ha="right", va="center")
    first.text(212, 1.06, "P = I, positive diagonal", color=ORANGE, fontsize=10, ha="right")
    first.text(234, 1.06, "P L U, frozen at 120°", color=BLUE, fontsize=10, ha="left")
    first.text(180, -0.11, "always 0: P L U frozen at W itself, Q R, dense", fontsize=10, ha="center", color="0.2")
    second.text(180, 1.06, "Q R with det W > 0, and both P L U\nfrozen at a rotation", fontsize=10, ha="center",
                color="0.2")
    second.text(180, -0.11, "P L U frozen at W itself, dense", fontsize=10, ha="center", color="0.2")
    return figure


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


# The decompositions, seen

def draw_matrix(ax, A, words):
    """Entries in viridis, exact zeros left white: the zero pattern is what the eye gets first."""
    image = ax.imshow(np.ma.masked_equal(A, 0.0), cmap="viridis", norm=Normalize(-1.5, 1.5))
    ax.set_title(words, fontsize=12)
    ax.set_xticks([])
    ax.set_yticks([])
    return image


def factors_figure(m=8):
    """One W, and beside it the factors of P L U and Q R, and Q's reflections; white is exactly zero."""
    W = np.random.default_rng(4).standard_normal((m, m))
    plu, qr = nf.PLU(m, W=W), nf.QR(m, W=W)
    H = [reflection(v) for v in qr.V]
    rows = (((W, "W"), (np.eye(m)[plu.perm], "= P"), (plu.L, "L"), (plu.U, "U")),
            ((W, "W"), (qr.Q, "= Q"), (qr.R, "R")),
            ((qr.Q, "Q"), (H[0], r"= $H_1$"), (H[1], r"$H_2$ ..."), (H[4], r"$H_5$ ...")))
    figure = new_figure(7.2)
    axes = figure.subplots(3, 4)
    for line, matrices in zip(axes, rows):
        for ax, entry in zip(line, matrices):
            image = draw_matrix(ax, *entry)
    axes[1, 3].set_axis_off()
    place = axes[1, 3].inset_axes([0.05, 0.5, 0.9, 0.08])
    bar = figure.colorbar(image, cax=place, orientation="horizontal", extend="both")
    bar.ax.set_title("entries; white: exactly 0", fontsize=10)
    return figure


def reflection(v):
    """H = I - 2 v v^T / (v^T v), as a matrix."""
    return np.eye(len(v)) - 2 * np.outer(v, v) / (v @ v)


# How the inverse of a masked convolution amplifies errors

def tapped(tap, width=24, dtype=np.float64):
    """A `MaskedConv` on one row of pixels: z_j = x_j + tap x_{j-1}, log_det 0 whatever the tap."""
    flow = nf.MaskedConv((1, width, 1), 3, rng=0, dtype=dtype)
    flow.taps[...] = 0
    flow.taps[0] = tap                                           # K_01, the pixel to the left
    return flow


def amplification(tap, error):
    """|change of x_j| along the row where z changes by `error` ``(width,)``."""
    flow, z = tapped(tap, len(error)), np.zeros((1, 1, len(error), 1))
    change = flow.inverse(z + np.reshape(error, z.shape))[0] - flow.inverse(z)[0]
    return np.abs(change).ravel()


def emerging_figure(width=24):
    """Left: an error in the first pixel, carried along. Right: an error in every pixel, with the signs that add up."""
    figure = new_figure(4.4)
    left, right = figure.subplots(1, 2)
    taps = ((3.0, ORANGE, "o"), (1.5, YELLOW, "s"), (1.0, GREY, "x"), (0.9, BLUE, "D"), (0.5, GREEN, "^"))
    first, everywhere = np.eye(width)[0], np.ones(width)
    for tap, colour, marker in taps:
        error = amplification(tap, first)
        left.plot(error, color=colour, marker=marker, markersize=4, linewidth=1.4)
        left.text(width - 0.4, error[-1], f"a = {tap:g}", color=colour, fontsize=9.5, va="center")
    for tap, colour, marker in taps[1:]:
        error = amplification(-tap, everywhere)                  # -a: x_j = z_j + a x_{j-1}, all paths add up
        right.plot(error, color=colour, marker=marker, markersize=4, linewidth=1.4)
        if tap < 1:
            right.plot([0, width - 1], [1 / (1 - tap)] * 2, color=colour, linewidth=1.2, linestyle="--")
            right.text(width - 1, 1 / (1 - tap) + 0.3, f"bound 1 / (1 - {tap:g}) = {1 / (1 - tap):.0f}", color=colour,
                       fontsize=9.5, ha="right", va="bottom")
        if tap == 1.5:
            right.text(5.2, 28, "a = 1.5", color=colour, fontsize=9.5, ha="right")
        else:
            right.text(width - 0.4, error[-1], f"a = {tap:g}", color=colour, fontsize=9.5, va="center")
    left.set_yscale("log")
    right.set_ylim(0, 36)
    for ax, words in ((left, "An error of 1 in the first pixel of z"),
                      (right, "An error of 1 in every pixel, worst signs")):
        ax.set_title(words, fontsize=10.5)
        ax.set_xlim(-0.6, width + 3.4)
        ax.set_xticks([0, 5, 10, 15, 20])
        ax.set_xlabel("column j", fontsize=10)
        ax.tick_params(labelsize=9)
    left.set_ylabel("error of x = g(z) in column j", fontsize=10)
    figure.suptitle(r"$z_j = x_j + a\, x_{j-1}$: log_det is 0 for every a", fontsize=11)
    return figure


if __name__ == "__main__":
    for tap in (0.5, 1.5, 3.0):
        print(f"amplification of one left tap {tap} over 24 columns: {amplification(tap, np.eye(24)[0])[-1]:.3g}")
    emerging_figure().savefig(FIGURES / "linear_emerging.png", dpi=100)
    factors_figure().savefig(FIGURES / "linear_factors.png", dpi=100)
    cofactor_figure().savefig(FIGURES / "linear_cofactor.png", dpi=112)
    reach_figure().savefig(FIGURES / "linear_reach.png", dpi=100)
    costs = measure()
    print_costs(costs)
    cost_figure(costs).savefig(FIGURES / "linear_cost.png", dpi=100)
