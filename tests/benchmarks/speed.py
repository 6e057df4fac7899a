"""How long a training step takes, what its matrix products alone would take, and how both grow; memory as well.

    python tests/benchmarks/speed.py [--seconds 1] [--quick]

No test runs this, and no test depends on a clock. Times are medians over repetitions of at least `--seconds` together; on
a shared machine compare ratios within one run, never times of two. Floating-point numbers are float32, as in training.
"""
import argparse
import os
import statistics
import time
import tracemalloc

import numpy as np

import nfnumpy as nf
from nfnumpy.nets import MADE

# Masked autoregressive flows of the sizes that papers use on these data sets: dim, batch; five steps of 512, 512 units.
SIZES = {"power": (6, 100), "miniboone": (43, 100), "bsds300": (63, 512)}


def median_seconds(run, seconds):
    """The median time of `run()`, after one call that warms up, over at least `seconds` and three calls."""
    run()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def training_step(model, n):
    """One step on n standard-normal rows, as a function: loss, gradient, Adam."""
    x = np.random.default_rng(1).standard_normal((n, *model.x_shape)).astype(np.float32)
    adam = nf.Adam(model.theta)
    return lambda: adam.step(nf.negative_log_likelihood(model, x)[1])


def products_alone(model, n):
    """The matrix products of that step that no implementation avoids, as a function: blocks of the masks that are not zero.

    For each network layer three products on arrays of their own: forward, and the two adjoints.
    """
    calls, rng = [], np.random.default_rng(0)

    def product(rows, inner, columns):
        a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((rows, inner), (inner, columns)))
        out = np.empty((rows, columns), np.float32)
        calls.append(lambda: np.matmul(a, b, out=out))

    for flow in model.flow.flows:
        if isinstance(getattr(flow, "net", None), MADE):
            for products in flow.net.products:
                for rows, columns in products.by_rows:
                    above, below = rows.stop - rows.start, columns.stop - columns.start
                    product(n, below, above)
                    product(above, n, below)
                for columns, rows in products.by_columns:
                    product(n, rows.stop - rows.start, columns.stop - columns.start)
    return lambda: [call() for call in calls]


def exponent(sizes, values):
    """The slope of log value against log size, by least squares: values grow like size ** exponent."""
    return np.polyfit(np.log(sizes), np.log(values), 1)[0]


def peak_megabytes(model, n):
    """Peak memory of one training step beyond what the model and its optimiser hold."""
    step = training_step(model, n)
    step()
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def report_steps(seconds, hidden):
    """Step time, samples a second, and the share of the step that its matrix products alone would take."""
    print(f"\nMAF, five steps, hidden {hidden}")
    print(f"{'':12}{'dim':>5}{'batch':>7}{'step, ms':>10}{'rows/s':>10}{'products, ms':>14}{'share':>7}{'sampled/s':>11}")
    for name, (dim, batch) in SIZES.items():
        model = nf.maf(dim, steps=5, hidden=hidden, rng=0, dtype=np.float32)
        step = median_seconds(training_step(model, batch), seconds)
        products = median_seconds(products_alone(model, batch), seconds)
        rng = np.random.default_rng(0)
        sampling = median_seconds(lambda: model.sample(1000, rng), seconds)
        print(f"{name:12}{dim:5}{batch:7}{1e3 * step:10.2f}{batch / step:10.0f}{1e3 * products:14.2f}{products / step:7.0%}"
              f"{1000 / sampling:11.0f}")


def report_growth(seconds, sizes):
    """How the time of a step grows with each size, the others fixed."""
    fixed = {"dim": 32, "width": 256, "batch": 256, "steps": 4}
    print("\nA MAF's step grows like size ** exponent;", ", ".join(f"{key} {value}" for key, value in fixed.items()), "else")
    for key, values in sizes.items():
        times = []
        for value in values:
            case = {**fixed, key: value}
            model = nf.maf(case["dim"], case["steps"], (case["width"], case["width"]), rng=0, dtype=np.float32)
            times.append(median_seconds(training_step(model, case["batch"]), seconds))
        print(f"{key:8}" + "".join(f"{value:>8}: {1e3 * t:8.2f} ms" for value, t in zip(values, times))
              + f"   exponent {exponent(values, times):.2f}")


def report_memory(seconds):
    """Peak memory of a step, with and without keeping activations, and what recomputing costs in time."""
    print("\nRealNVP, dim 64, hidden (256, 256): peak of a step in MB, kept | reversible; time, reversible / kept")
    for steps, batch in ((4, 512), (8, 512), (16, 512), (8, 2048)):
        model = nf.realnvp(64, steps, (256, 256), rng=0, dtype=np.float32)
        peaks, times = [], []
        for model.flow.reversible in (False, True):
            peaks.append(peak_megabytes(model, batch))
            times.append(median_seconds(training_step(model, batch), seconds))
        print(f"steps {steps:3} batch {batch:5}: {peaks[0]:7.1f} | {peaks[1]:7.1f}    {times[1] / times[0]:.2f}")


def main():
    """Run all reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each number (default 1)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    args = parser.parse_args()
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "default")
    print(f"NumPy {np.__version__}, {os.cpu_count()} cores, BLAS threads {threads}")
    report_steps(args.seconds, (32, 32) if args.quick else (512, 512))
    sizes = {"dim": (8, 16, 32, 64), "width": (128, 256, 512, 1024), "batch": (64, 256, 1024), "steps": (2, 4, 8)}
    report_growth(args.seconds, {key: values[:2] for key, values in sizes.items()} if args.quick else sizes)
    report_memory(args.seconds)


if __name__ == "__main__":
    main()
