"""``python -m nfnumpy fit DATA`` for images of whole grey values: bits per dimension, and a grid of samples."""
import dataclasses
import math
import pathlib

import numpy as np

import nfnumpy as nf
from nfnumpy.arrays import as_rng
from nfnumpy.commands import common, images, watched
from nfnumpy.flows.logit import Logit

MIN_IMAGES = 10
MOST_VALID = 500                                                 # evaluated often, and enough to decide when to stop
DRAWN = 64                                                       # images in each half of the report


def run(args, paths):
    """`fit` for the flows in `BUILD`; `args` as `fit.settle` leaves them, `paths` of each file to write, checked."""
    rng, data = as_rng(args.seed), images.read(args.data, args.grey_levels)
    common.say(args, describe(data))
    if len(data.x) < MIN_IMAGES:
        raise ValueError(f"{data.source}: expected at least {MIN_IMAGES} images, some to learn from and some to hold "
                         f"out, got {len(data.x)}")
    x = data.x[rng.permutation(len(data.x))]
    n_test = min(max(round(args.test_fraction * len(x)), 2), len(x) - MIN_IMAGES // 2)
    train, test = x[n_test:], x[:n_test]
    n_valid = min(max(round(0.1 * len(train)), 1), MOST_VALID)
    model = build(args, data)
    model.info = {"image_shape": list(x.shape[1:]), "source": data.source, "flow": args.flow, "images": len(train),
                  "seed": args.seed, "options": args.options}

    common.say(args, f"Training {args.flow} with {len(model.theta)} parameters on {len(train)} images; {n_test} held "
                     "out for the test. Ctrl-C ends the training and keeps the best model so far.")
    rows = train.reshape(-1, *model.x_shape)
    history, problem = watched.fit(args, paths, model, rows[n_valid:], rows[:n_valid], rng=rng)
    history = in_bits(history, x.shape[1:])
    best = f"best on the {n_valid} validation images at step {history.best_step}, with" if history.best_step else (
        f"no step was better on the {n_valid} validation images than the start, with")
    common.say(args, f"{history.stopped.capitalize()}: step {history.step[-1]} after {history.seconds:.1f} s; {best} "
                     f"{history.best_valid:.3f} bits per dimension{common.shortened(history)}.")

    bits = images.bits(images.log_prob(model, test, args.seed), x.shape[1:])
    words, reference = gaussian_bits(train, test, data.grey_levels, args.seed)
    results = compare(bits, reference, words, images.is_exact(model), history.best_step)
    print("\n".join(results), flush=True)
    model.info["test_bits_per_dim"] = float(bits.mean())

    from nfnumpy import plot_images                              # here, since matplotlib takes long to load
    drawn = images.sample(model, x.shape[1:], DRAWN, rng)
    figure = plot_images.report(history, drawn, test[:DRAWN], data.grey_levels,
                                title=f"{pathlib.Path(data.source).name}, {args.flow}: {results[0]}")
    nf.save(model, paths["out"])
    common.save_figure(figure, paths["report"])
    return watched.finish(args, paths, problem)


def describe(data):
    """What was read.

    >>> print(describe(images.read("digits")))
    Read digits: 1797 images of 8 x 8 pixels in grey values 0 to 16, of 17 grey levels
    """
    n, height, width, channels = data.x.shape
    colours = "" if channels == 1 else f" and {channels} channels"
    return (f"Read {data.source}: {n} {'image' if n == 1 else 'images'} of {height} x {width} pixels{colours} in grey "
            f"values {data.x.min()} to {data.x.max()}, of {data.grey_levels} grey levels")


def _glow(shape, k, args, common_options):
    return nf.glow(shape, args.levels, args.steps, args.width, k, **common_options)


def _realnvp(shape, k, args, common_options):
    return nf.realnvp_image(shape, args.couplings, args.blocks, args.width, k, **common_options)


def _mlp(shape, k, args, common_options):
    return nf.AutoregressiveMLP(math.prod(shape), k, args.hidden, **common_options)


def _cnn(shape, k, args, common_options):
    return nf.AutoregressiveCNN(shape, k, args.width, args.depth, **common_options)


BUILD = {"glow": _glow, "realnvp-image": _realnvp, "ar-mlp": _mlp, "ar-cnn": _cnn}


def build(args, data):
    """The model, or a ValueError that names the data for images of a size that it cannot take."""
    options = {"activation": args.activation, "rng": args.seed, "dtype": np.dtype(args.dtype)}
    try:
        return BUILD[args.flow](data.x.shape[1:], data.grey_levels, args, options)
    except ValueError as error:
        raise ValueError(f"{data.source}: --flow {args.flow} cannot take these images: {error}") from error


def in_bits(history, shape):
    """The `History` with its learning curve in bits per dimension."""
    unit = math.prod(shape) * math.log(2)
    return dataclasses.replace(history, train=[value / unit for value in history.train],
                               valid=[value / unit for value in history.valid], best_valid=history.best_valid / unit)


def gaussian_bits(train, test, grey_levels, seed):
    """``words, bits`` to compare with: a Gaussian fitted to the logit of dequantized images, and its bound for `test`.

    Behind the same logit as the flows: without it, pixels that are nearly always 0 cost a Gaussian many bits.
    """
    rng, logit = as_rng(seed), Logit(test[0].shape, grey_levels=grey_levels)
    total, products = 0.0, 0.0
    for i in range(0, len(train), common.CHUNK):
        z = logit.forward(nf.datasets.dequantize(train[i:i + common.CHUNK], rng))[0]
        z = z.reshape(len(z), -1)
        total, products = total + z.sum(axis=0), products + z.T @ z
    mean = total / len(train)
    covariance = products / len(train) - np.outer(mean, mean)
    words = "Gaussian"
    if len(train) <= len(mean):                                  # the covariance is singular
        words, covariance = "independent Gaussians", np.diag(np.diag(covariance))
    z, log_det = logit.forward(nf.datasets.dequantize(test, as_rng(seed)))        # the noise that the flow's bound has
    log_p = nf.Gaussian(mean, covariance).log_prob(z.reshape(len(z), -1)) + log_det
    return words, images.bits(log_p, test[0].shape)


def compare(bits, reference, words, exact, best_step):
    """The held-out bits per dimension and their paired difference in words, and what to try if it is no gain."""
    mean, error = common.mean_and_error(bits - reference)
    lines = ["held-out images: {:.3f} +- {:.3f} bits per dimension, ".format(*common.mean_and_error(bits))
             + f"{words} behind a logit {reference.mean():.3f}: difference {mean:+.3f} +- {error:.3f}",
             "(fewer is better; the model's are exact, the Gaussian's an upper bound)" if exact else
             "(fewer is better; both are upper bounds, from one draw of the noise)"]
    if best_step == 0:
        lines.append("No step was better than the start: the model that is kept is the one that training began with; "
                     "try a smaller --lr.")
    elif not mean < 0:                                           # NaN included
        lines.append(f"The model is not better than the {words} here; try more --max-steps, or a larger "
                     "--weight-decay.")
    elif not mean < -3 * error:
        lines.append("The difference is within three standard errors: these images do not show that the model is "
                     "better.")
    return lines
