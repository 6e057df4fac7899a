"""Checks of `grey_levels`: the reference is the library's dequantization, logit and bits per dimension."""
import math
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.flows.logit import Logit
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Variant, Wrong
from nfnumpy.homework.properties import Call, equals, leaves_inputs_alone, log_det_of_jacobian, rows_apart, shapes
from nfnumpy.image_models import bits_per_dim

LEVELS = 1                                                       # the variant on [0, K], in units of grey levels


def cases(rng, variant):
    """One pixel, then two, of four grey values; then images, white and black pixels among them."""
    for values, K, alpha in (([[0]], 4, 0.25), ([[1, 3], [0, 2]], 4, 0.25)):
        yield case(np.array(values).reshape(len(values), 1, -1, 1), K, alpha, np.random.default_rng(0), variant, True)
    for shape, K in (((1, 1, 1, 3), 256), ((2, 2, 3, 2), 17), ((4, 1, 4, 1), 2)):
        images = rng.integers(K, size=shape)
        images[0].flat[0], images[-1].flat[-1] = 0, K - 1
        yield case(images, K, rng.uniform(0.02, 0.2), rng, variant)


def case(images, K, alpha, rng, variant, show=False):
    seed, unit = int(rng.integers(2 ** 32)), K if variant == LEVELS else 1
    noise = np.full(images.shape, 0.25) if show else np.random.default_rng(seed).random(images.shape)
    x, log_p = images / (K - 1) * unit, -2.0 * (1 + np.arange(len(images))) * images[0].size
    shape = images.shape[1:]
    inside = 0.25 * unit + 0.5 * x
    return Case({"images": images, "noise": noise, "K": K, "x": x, "x of the Jacobian": inside, "alpha": alpha,
                 "log_p": log_p, "shape": np.array(shape)} if show else None,
                images=images, noise=noise, seed=None if show else seed, K=K, alpha=alpha, x=x, inside=inside,
                unit=unit, log_p=log_p, shape=shape)


def reference(case, variant):
    """The library: its dequantization draws the same noise again; its bits are of a density in grey-level units."""
    def dequantize(images, noise, K):
        if case.seed is None:
            return (images + noise) * (case.unit / K)
        return nf.datasets.dequantize(images, np.random.default_rng(case.seed)) * (case.unit / K)

    def bits(log_p, shape, K):
        model = SimpleNamespace(x_shape=shape, log_prob=lambda x: log_p - math.prod(shape) * math.log(K / case.unit))
        return bits_per_dim(model, np.zeros((len(log_p), *shape)), 0)

    return SimpleNamespace(grey_dequantize=dequantize,
                           grey_logit=lambda x, alpha, *K: Logit(x.shape[1:], alpha, case.unit).forward(x),
                           grey_bits_per_dim=bits)


def more(case):
    """What the variant's logit is told besides: K."""
    return () if case.unit == 1 else (case.K,)


DEQUANTIZE = Call(lambda answers, case, images: answers.grey_dequantize(images, case.noise, case.K), ["x"],
                  argument="images", shows=["images", "noise", "K"])
LOGIT = Call(lambda answers, case, x: answers.grey_logit(x, case.alpha, *more(case)), ["z", "log_det"],
             shows=["x", "alpha", "K"])
# Differences are taken where both neighbours are in the interval, since an answer may refuse what is not.
INSIDE = Call(LOGIT.call, LOGIT.outputs, argument="inside", shows=["x of the Jacobian", "alpha", "K"])
BITS = Call(lambda answers, case, log_p: answers.grey_bits_per_dim(log_p, case.shape, case.K), ["bits"],
            argument="log_p", shows=["log_p", "shape", "K"])


def suspects_of_x(case, expected):
    y = case.images + case.noise
    return [(y / (case.K - 1) * case.unit, "How many grey values are there from 0 to K - 1?"),
            ((y - 0.5) / case.K * case.unit, "Is the noise centred? Where does black go then?"),
            ((y - 0.5) / (case.K - 1) * case.unit, "Is the noise centred? Where does black go then?"),
            (case.images / case.K + case.noise, "How wide is the noise, compared to the distance of two grey values?"),
            (case.images / case.K * case.unit, "Where is the noise?"),
            (y if case.unit == 1 else y / case.K, "In which units is it? How large is the largest number?")]


def suspects_of_z(case, expected):
    p = case.x / case.unit
    with np.errstate(all="ignore"):
        return [(np.log(p) - np.log1p(-p), "Where is alpha?"),
                (-expected["z"], "p and 1 - p are exchanged: where must z be large?")]


def suspects_of_log_det(case, expected):
    size, p = case.x[0].size, case.alpha + (1 - 2 * case.alpha) * case.x / case.unit
    scale = np.log((1 - 2 * case.alpha) / case.unit)
    return [(expected["log_det"] / size, "A mean over pixels: what is the log of a product?"),
            (expected["log_det"] - size * scale, "It is a chain of two maps: is the slope of the first one in it?"),
            (expected["log_det"] - (size - 1) * scale, "How often is the slope of the first map in it?"),
            (2 * size * scale - expected["log_det"], "Is dz/dp in it, or dp/dz?"),
            (size * scale + np.log(p * (1 - p)).sum(axis=(1, 2, 3)), "Is dz/dp in it, or dp/dz?")]


def suspects_of_bits(case, expected):
    D, log_p = math.prod(case.shape), case.log_p
    levels = math.log2(case.K) if case.unit == 1 else 0.0
    return [(-log_p / (D * math.log(2)), "That is for numbers in [0, 1]: how many bits does a uniform density need?"),
            (-log_p / D + levels, "Nats and bits are added to each other."),
            (-log_p / D, "Are these nats or bits?"),
            (-log_p / D + levels * math.log(2), "Are these nats or bits?"),
            (-log_p / math.log(2) + D * levels, "For the image, or for each of its numbers?"),
            (-log_p / math.log(2) + levels, "For the image, or for each of its numbers?"),
            (-log_p / (D * math.log(2)) + math.log2(case.K - 1), "How many grey values are there from 0 to K - 1?"),
            (log_p / (D * math.log(2)) + levels, "A likelier image has a shorter code: is that so here?"),
            (-log_p / (D * math.log(2)) - levels, "A narrower interval has less mass: which way does K count?"),
            (-log_p / (math.prod(case.shape[:2]) * math.log(2)) + levels, "Do channels count?")]


ANSWER = '''
import numpy as np


def grey_dequantize(images, noise, K):
    return (images + noise) / K


def grey_logit(x, alpha):
    p = alpha + (1 - 2 * alpha) * x
    z = np.log(p) - np.log(1 - p)
    slopes = np.log(1 - 2 * alpha) - np.log(p) - np.log(1 - p)
    return z, slopes.sum(axis=(1, 2, 3))


def grey_bits_per_dim(log_p, shape, K):
    D = np.prod(shape)
    return -log_p / (D * np.log(2)) + np.log2(K)
'''

BY_NUMBER = '''
import math
import numpy as np


def grey_dequantize(images, noise, K):
    step = 1 / K
    return images * step + noise * step


def grey_logit(x, alpha):
    z, log_det = np.zeros(x.shape), []
    for i, image in enumerate(x):
        total = 0.0
        for at, value in np.ndenumerate(image):
            p = alpha * (1 - value) + (1 - alpha) * value
            z[(i, *at)] = math.log(p / (1 - p))
            total += math.log((1 - 2 * alpha) / (p * (1 - p)))
        log_det.append(total)
    return z, log_det


def grey_bits_per_dim(log_p, shape, K):
    height, width, c = shape
    D = height * width * c
    log_P = [value - D * math.log(K) for value in log_p]
    return [-value / math.log(2) / D for value in log_P]
'''

X_VALUES, Z_VALUES = "x has the values that it must have", "z has the values that it must have"
LOG_DET, BITS_VALUES = "log_det has the values that it must have", "bits has the values that it must have"
NOTE = 'slide "Normalizing flows (NF)", the note at its end'
FORMULA = "-log_p / (D * np.log(2)) + np.log2(K)"
EXERCISE = Exercise(
    title="Grey levels", slide="Normalizing flows (NF)", minutes=25, cases=cases, reference=reference, answer=ANSWER,
    parts={
        "grey_dequantize": [
            equals(DEQUANTIZE, "x", suspects=suspects_of_x, share=2, read=NOTE),
            shapes(DEQUANTIZE, share=0.25),
            leaves_inputs_alone(DEQUANTIZE, share=0.25)],
        "grey_logit": [
            equals(LOGIT, "z", suspects=suspects_of_z, share=1, read='slide "Composition of normalizing flows"'),
            equals(LOGIT, "log_det", suspects=suspects_of_log_det, share=3, read='slide "Jacobian structure", case 2'),
            shapes(LOGIT),
            log_det_of_jacobian(INSIDE, "z", read='slide "Jacobian structure", case 2'),
            rows_apart(LOGIT),
            leaves_inputs_alone(LOGIT)],
        "grey_bits_per_dim": [
            equals(BITS, "bits", suspects=suspects_of_bits, share=3,
                   read='slide "Normalizing flows prerequisites", the box "Change of variable theorem"'),
            shapes(BITS),
            rows_apart(BITS)]},
    right={
        "number by number": BY_NUMBER,
        "p by the other end, log of the quotient": {
            "z = np.log(p) - np.log(1 - p)": "q = (1 - alpha) - (1 - 2 * alpha) * x\n    z = -np.log(q / p)",
            "slopes = np.log(1 - 2 * alpha) - np.log(p) - np.log(1 - p)":
            "slopes = np.log((1 - 2 * alpha) * (1 / p + 1 / q))"},
        "bits first": {FORMULA: "(D * np.log2(K) - np.log2(np.e) * log_p) / D"}},
    wrong=[
        Wrong("centred noise", {"images + noise": "images + noise - 0.5"}, "grey_dequantize", X_VALUES, asks="centred",
              credit=0),
        Wrong("K - 1 for K", {"noise) / K": "noise) / (K - 1)"}, "grey_dequantize", X_VALUES, asks="How many",
              credit=0),
        Wrong("noise after scaling", {"(images + noise) / K": "images / K + noise"}, "grey_dequantize", X_VALUES,
              asks="How wide", credit=0),
        Wrong("no noise", {"(images + noise) / K": "images / K"}, "grey_dequantize", X_VALUES, asks="Where is",
              credit=0),
        Wrong("noise of its own", {"images + noise": "images + np.random.rand(*images.shape)"}, "grey_dequantize",
              X_VALUES, credit=0),
        Wrong("no alpha", {"p = alpha + (1 - 2 * alpha) * x": "p = x"}, "grey_logit", Z_VALUES, asks="not finite",
              credit=0),
        Wrong("no log(1 - 2 alpha)", {"np.log(1 - 2 * alpha) - np.log(p)": "-np.log(p)"}, "grey_logit", LOG_DET,
              asks="chain of two", credit=0.5),
        Wrong("log(1 - 2 alpha) once", {"    return z, slopes.sum(axis=(1, 2, 3))":
                                        "    slopes -= np.log(1 - 2 * alpha)\n"
                                        "    return z, slopes.sum(axis=(1, 2, 3)) + np.log(1 - 2 * alpha)"},
              "grey_logit", LOG_DET, asks="How often", credit=0.5),
        Wrong("the slope at x", {"- np.log(p) - np.log(1 - p)\n    return": "- np.log(x) - np.log(1 - x)\n    return"},
              "grey_logit", LOG_DET, asks="not finite", credit=0.5),
        Wrong("the sign", {"- np.log(p) - np.log(1 - p)\n    return": "+ np.log(p) + np.log(1 - p)\n    return"},
              "grey_logit", LOG_DET, asks="dz/dp", credit=0.5),
        Wrong("alpha for 2 alpha", {"p = alpha + (1 - 2 * alpha) * x": "p = alpha + (1 - alpha) * x"}, "grey_logit",
              Z_VALUES, credit=0),
        Wrong("a mean", {"slopes.sum(axis=(1, 2, 3))": "slopes.mean(axis=(1, 2, 3))"}, "grey_logit", LOG_DET,
              asks="mean over pixels", credit=0.5),
        Wrong("clipped at the ends", {"p = alpha + (1 - 2 * alpha) * x": "p = np.clip(x, alpha, 1 - alpha)"},
              "grey_logit", Z_VALUES, credit=0.25),
        Wrong("nats", {FORMULA: "-log_p / D + np.log(K)"}, "grey_bits_per_dim", BITS_VALUES, asks="nats or bits",
              credit=0),
        Wrong("no log2 K", {" + np.log2(K)": ""}, "grey_bits_per_dim", BITS_VALUES, asks="uniform density", credit=0),
        Wrong("log2(K - 1)", {"np.log2(K)": "np.log2(K - 1)"}, "grey_bits_per_dim", BITS_VALUES, asks="How many",
              credit=0),
        Wrong("not divided by D", {FORMULA: "-log_p / np.log(2) + D * np.log2(K)"}, "grey_bits_per_dim", BITS_VALUES,
              asks="each of its numbers", credit=0),
        Wrong("pixels without channels", {"D = np.prod(shape)": "D = shape[0] * shape[1]"}, "grey_bits_per_dim",
              BITS_VALUES, credit=0),
        Wrong("the sign of log p", {"-log_p": "log_p"}, "grey_bits_per_dim", BITS_VALUES, asks="shorter code",
              credit=0),
        Wrong("a mean over the images", {FORMULA: "np.mean(-log_p / (D * np.log(2)) + np.log2(K))"},
              "grey_bits_per_dim", BITS_VALUES, asks="One number", credit=0)],
    opposite=[
        Opposite("It keeps to another convention: x is in units of grey levels, from 0 to K.", {"noise) / K": "noise)"},
                 parts=["grey_dequantize"])],
    variants={
        LEVELS: Variant(
            {"Real numbers in [0, 1) from whole": "Real numbers in [0, K) from whole",
             "x = (grey value + noise) / K": "x = grey value + noise",
             "def grey_logit(x, alpha)": "def grey_logit(x, alpha, K)",
             "p = alpha + (1 - 2 alpha) x\n": "p = alpha + (1 - 2 alpha) x / K\n",
             "in [0, 1], and alpha between 0 and 1/2, which": "in [0, K], alpha between 0 and 1/2, and K; alpha",
             "Here p is that of x in [0, 1]: dividing D numbers by K\n    changes a density, and nats are no bits.":
             "Here p is that of x in [0, K], and nats are no bits."},
            {"(images + noise) / K": "images + noise", "def grey_logit(x, alpha)": "def grey_logit(x, alpha, K)",
             "p = alpha + (1 - 2 * alpha) * x": "p = alpha + (1 - 2 * alpha) * x / K",
             "np.log(1 - 2 * alpha) -": "np.log(1 - 2 * alpha) - np.log(K) -", " + np.log2(K)": ""})})
