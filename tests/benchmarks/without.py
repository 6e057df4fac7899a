"""What each fast path is worth: a training step with all of them, over one without it, on the same data in one run.

    python tests/benchmarks/without.py [--seconds 0.5] [--rounds 5]

Each line undoes one fast path, leaves the others, and takes turns with the unchanged step. A ratio of 0.5 means that the
step takes half the time with it. The result is the same up to rounding: printed is the largest difference of the two
gradients, relative to the largest number in them. `lectures/speed.md` explains each.
"""
import argparse
import contextlib
import statistics
from unittest import mock

import numpy as np

import nfnumpy as nf
from nfnumpy import optimizers
from nfnumpy.nets import masked, resnet, winograd

if __package__:
    from tests.benchmarks.speed import median_seconds, training_step
else:
    from speed import median_seconds, training_step


def maf(n=512):
    """A MAF of the size that papers use on BSDS300."""
    return nf.maf(63, steps=5, hidden=(512, 512), rng=0, dtype=np.float32), n


def small_maf(n=256):
    """A MAF on two dimensions, as the tour has it."""
    return nf.maf(2, steps=5, hidden=(64, 64), rng=0, dtype=np.float32), n


def tall_maf(n=4096):
    """The same on a batch of many rows."""
    return small_maf(n)


def realnvp(n=32):
    """The homework's RealNVP on images of MNIST's size: four checkerboard couplings, two channelwise ones."""
    return nf.realnvp_image((28, 28, 1), couplings=2, blocks=2, width=32, rng=0, dtype=np.float32), n


def glow(n=32):
    """Glow on images of MNIST's size."""
    return nf.glow((28, 28, 1), levels=2, steps=4, width=64, rng=0, dtype=np.float32), n


def pieces_one_after_another():
    """BLAS keeps its threads for products."""
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.object(resnet, "share_out", lambda work, items: [work(items)]))
    stack.enter_context(mock.patch.object(resnet, "usual_threads", lambda: 1))
    stack.enter_context(mock.patch("nfnumpy.model.sharing_out", contextlib.nullcontext))
    return stack


def all_images_at_once():
    """One piece, and BLAS keeps its threads."""
    stack = pieces_one_after_another()
    stack.enter_context(mock.patch.object(resnet, "CHUNK", 10 ** 12))
    return stack


def never(*args):
    """For `winograd.applies`."""
    return False


# What is done -> the models to try it on, and the context that undoes it. The model is built inside it.
FAST_PATHS = {
    "masked products in blocks": ([maf], lambda: mock.patch.object(masked, "BLOCK", 10 ** 9)),
    "Adam in pieces": ([maf], lambda: mock.patch.object(optimizers, "PIECE", 10 ** 9)),
    "one thread for small products": ([small_maf], lambda: mock.patch("nfnumpy.model.SMALL", -1)),
    "rows in threads": ([maf, tall_maf], lambda: mock.patch("nfnumpy.rows.PART", 10 ** 12)),
    "images in pieces, in threads": ([realnvp, glow], all_images_at_once),
    "the threads alone": ([realnvp, glow], pieces_one_after_another),
    "Winograd": ([realnvp, glow], lambda: mock.patch.object(winograd, "applies", never)),
    "activations are kept": ([realnvp], lambda: mock.patch.object(resnet, "KEPT", 0))}


def compare(build, undone, seconds, rounds):
    """Median times of a step with and without, and the relative difference of the gradients."""
    rng, (model, n) = np.random.default_rng(1), build()
    x = rng.standard_normal((n, *model.x_shape)).astype(np.float32)
    model.initialize(x)
    start = model.theta.copy()
    size = 0.2 / np.sqrt(model.flow.widest)                      # last layers start at zero
    model.theta += size * rng.standard_normal(len(model.theta)).astype(np.float32)
    with undone():
        plain, _ = build()
        plain.theta[...] = model.theta
    _, gradient = nf.negative_log_likelihood(model, x)
    with undone():
        _, plain_gradient = nf.negative_log_likelihood(plain, x)
    difference = np.abs(gradient - plain_gradient).max() / np.abs(gradient).max()
    model.theta[...] = plain.theta[...] = start
    step, plain_step, times = training_step(model, n), training_step(plain, n), []
    for _ in range(rounds):
        fast = median_seconds(step, seconds)
        with undone():
            times.append((fast, median_seconds(plain_step, seconds)))
    fast, slow = (statistics.median(column) for column in zip(*times))
    return fast, slow, difference


def main(argv=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="time spent on each number and round (default 0.5)")
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the median counts (default 5)")
    args = parser.parse_args(argv)
    print("| without | model | with, ms | without, ms | ratio | gradients differ by |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (models, undone) in FAST_PATHS.items():
        for build in models:
            fast, slow, difference = compare(build, undone, args.seconds, args.rounds)
            print(f"| {name} | {build.__name__} | {1e3 * fast:.3g} | {1e3 * slow:.3g} | {fast / slow:.2f} | "
                  f"{difference:.0e} |", flush=True)


if __name__ == "__main__":
    main()
