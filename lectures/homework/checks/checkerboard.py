"""Checks of `checkerboard`: the reference is the library's image coupling; the network that students get is its own."""
from types import SimpleNamespace

import numpy as np

from nfnumpy.flows.image_coupling import ImageCoupling
from nfnumpy.flows.partitions import Checkerboard
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Variant, Wrong
from nfnumpy.homework.properties import (Call, equals, leaves_inputs_alone, log_det_of_jacobian, rows_apart, shapes,
                                         undoes)
from nfnumpy.nets.made import split_params
from nfnumpy.nets.resnet import glow_net
from nfnumpy.testing import randomize

READ = 'slide "RealNVP", the box "'


def cases(rng, variant):
    """Two by two pixels and whole numbers; then odd sides, one pixel, one row, both roles."""
    by_hand = np.random.default_rng(0)
    yield case(np.array([1.0, 2.0, -1.0, 0.0]).reshape(1, 2, 2, 1), False, by_hand, variant, show=True)
    for shape, swap in (((2, 1, 1, 1), False), ((1, 1, 1, 2), True), ((2, 3, 3, 1), False), ((2, 1, 3, 2), True)):
        yield case(rng.standard_normal(shape), swap, rng, variant)


def case(x, swap, rng, variant, show=False):
    """The library's flow with random parameters, and its network in the variant's convention."""
    c = x.shape[-1]
    flow = randomize(ImageCoupling(x.shape[1:], glow_net(c, 2 * c, 3, "tanh", rng), swap=swap), rng)

    def mu_and_log_sigma(x_1):
        return flow.transformer.mu_and_log_sigma(split_params(flow.net.vjp(x_1)[0], 2))

    def network(x_1):
        mu, log_sigma = mu_and_log_sigma(x_1)
        return (-mu * np.exp(-log_sigma), -log_sigma) if variant else (mu, log_sigma)

    mask, z = flow.partition.mask[:, :, 0] * 1.0, flow.forward(x)[0]
    mu, log_sigma = network(x * mask[:, :, None])
    outputs = ("shift", "log_scale") if variant else ("mu", "log_sigma")
    return Case({"x": x, "mask": mask, "height, width": mask.shape, "z": z, f"{outputs[0]} of the network": mu.round(4),
                 f"{outputs[1]} of the network": log_sigma.round(4)} if show else None,
                x=x, z=z, flow=flow, mask=mask, size=x.shape[1:3], network=network, mu_and_log_sigma=mu_and_log_sigma)


def reference(case, variant):
    """The library's flow; with another parity of the mask in the variant."""
    def mask(height, width):
        return Checkerboard((height, width, 1), swap=bool(variant)).mask[:, :, 0]

    return SimpleNamespace(checkerboard_mask=mask,
                           checkerboard_forward=lambda x, mask, network: case.flow.forward(x),
                           checkerboard_inverse=lambda z, mask, network: case.flow.inverse(z))


NETWORK = ["mu of the network", "log_sigma of the network", "shift of the network", "log_scale of the network"]
MASK = Call(lambda answers, case, size: answers.checkerboard_mask(*size), ["mask"], argument="size",
            shows=["height, width"])
FORWARD = Call(lambda answers, case, x: answers.checkerboard_forward(x, case.mask, case.network), ["z", "log_det"],
               shows=["x", "mask", *NETWORK])
INVERSE = Call(lambda answers, case, z: answers.checkerboard_inverse(z, case.mask, case.network), ["x", "log_det"],
               argument="z", shows=["z", "mask", *NETWORK])


def suspects_of_mask(case, expected):
    rows, columns = np.indices(case.size)
    return [((rows % 2 == 0) * 1.0, "Stripes: what happens from one column to the next?"),
            ((columns % 2 == 0) * 1.0, "Stripes: what happens from one row to the next?"),
            (1 - expected["mask"], "Black and white are exchanged: what does the upper left pixel have?"),
            (np.ones(case.size), "It is the same everywhere: which pixels are neighbours?")]


def role(case):
    """1 where a number conditions, of the shape of a sample."""
    return np.broadcast_to(case.mask[:, :, None], case.x.shape[1:])


def suspects_of_z(case, expected):
    mask, out = role(case), []
    mu, log_sigma = case.mu_and_log_sigma(case.x)
    out.append((np.where(mask, case.x, (case.x - mu) * np.exp(-log_sigma)), "Which pixels may the network see? Here it "
                                                                          "sees what it moves."))
    mu, log_sigma = case.mu_and_log_sigma(case.x * mask)
    z = (case.x - mu) * np.exp(-log_sigma)
    out += [(z, "Everything moves: what happens where the mask is 1?"),
            ((1 - mask) * z, "The conditioning pixels are gone: what is z there?"),
            (np.where(mask, case.x, (case.x - mu) * np.exp(log_sigma)), "Larger sigma, larger z: which of the two "
                                                                        "directions multiplies?"),
            (case.x, "z is x: is anything computed?")]
    return out


def suspects_of_log_det(case, expected):
    mask = role(case)
    mu, log_sigma = case.mu_and_log_sigma(case.x * mask)
    return [(-log_sigma.sum(axis=(1, 2, 3)), "How many numbers are scaled, and how many log_sigma are summed?"),
            (log_sigma.sum(axis=(1, 2, 3)), "How many numbers are scaled, and how many log_sigma are summed?"),
            (-(mask * log_sigma).sum(axis=(1, 2, 3)), "Are these the pixels that move, or those that stay?")]


ANSWER = '''
import numpy as np


def checkerboard_mask(height, width):
    return (np.arange(height)[:, None] + np.arange(width)) % 2 == 0


def checkerboard_forward(x, mask, network):
    mask = np.asarray(mask, float)[:, :, None]
    mu, log_sigma = network(mask * x)
    z = mask * x + (1 - mask) * (x - mu) * np.exp(-log_sigma)
    return z, -np.sum((1 - mask) * log_sigma, axis=(1, 2, 3))


def checkerboard_inverse(z, mask, network):
    mask = np.asarray(mask, float)[:, :, None]
    mu, log_sigma = network(mask * z)
    x = mask * z + (1 - mask) * (z * np.exp(log_sigma) + mu)
    return x, np.sum((1 - mask) * log_sigma, axis=(1, 2, 3))
'''

BY_PIXEL = '''
import math


def checkerboard_mask(height, width):
    return [[1 - (i + j) % 2 for j in range(width)] for i in range(height)]


def checkerboard_forward(x, mask, network):
    x_1 = x.copy()
    x_1[:, mask == 0] = 0
    mu, log_sigma = network(x_1)
    z, log_det = x.copy(), [0.0] * len(x)
    n, height, width, c = x.shape
    for s in range(n):
        for i in range(height):
            for j in range(width):
                for k in range(c):
                    if not mask[i, j]:
                        z[s, i, j, k] = (x[s, i, j, k] - mu[s, i, j, k]) / math.exp(log_sigma[s, i, j, k])
                        log_det[s] -= log_sigma[s, i, j, k]
    return z, log_det


def checkerboard_inverse(z, mask, network):
    z_1 = z.copy()
    z_1[:, mask == 0] = 0
    mu, log_sigma = network(z_1)
    x = z_1
    moves = mask == 0
    x[:, moves] = z[:, moves] * 2.718281828459045 ** log_sigma[:, moves] + mu[:, moves]
    return x, log_sigma[:, moves].sum(axis=(1, 2))
'''

VALUES, LOG_DET = "z has the values that it must have", "log_det has the values that it must have"
MASK_VALUES, ALONE = "mask has the values that it must have", "the caller's arrays stay as they were"
EVEN = "(np.arange(height)[:, None] + np.arange(width)) % 2 == 0"
FORWARD_NET, INVERSE_NET = "network(mask * x)", "network(mask * z)"
EXERCISE = Exercise(
    title="Checkerboard coupling", slide="RealNVP", minutes=30, cases=cases, reference=reference, answer=ANSWER,
    parts={
        "checkerboard_mask": [
            equals(MASK, "mask", suspects=suspects_of_mask, share=3, read=READ + 'Image partitioning"'),
            shapes(MASK)],
        "checkerboard_forward": [
            equals(FORWARD, "z", suspects=suspects_of_z, share=2, read=READ + 'Coupling layer"'),
            equals(FORWARD, "log_det", suspects=suspects_of_log_det, share=2, read='slide "Jacobian structure"'),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "z", read='slide "Jacobian structure", case 3'),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD)],
        "checkerboard_inverse": [
            equals(INVERSE, "x", share=2, read=READ + 'Coupling layer"'),
            equals(INVERSE, "log_det", share=2, read='slide "Jacobian determinant"'),
            shapes(INVERSE),
            undoes(INVERSE, FORWARD, "x", "the inverse undoes the forward transform", read=READ + 'Coupling layer"'),
            rows_apart(INVERSE),
            leaves_inputs_alone(INVERSE)]},
    right={
        "pixel by pixel": BY_PIXEL,
        "where, and the network's outputs masked first": {
            "    z = mask * x + (1 - mask) * (x - mu) * np.exp(-log_sigma)\n"
            "    return z, -np.sum((1 - mask) * log_sigma, axis=(1, 2, 3))":
            "    mu, log_sigma = np.where(mask, 0, mu), np.where(mask, 0, log_sigma)\n"
            "    return (x - mu) / np.exp(log_sigma), -log_sigma.reshape(len(x), -1).sum(axis=1)"}},
    wrong=[
        Wrong("stripes", {EVEN: "(np.zeros((height, 1)) + np.arange(width)) % 2 == 0"}, "checkerboard_mask",
              MASK_VALUES, asks="Stripes", credit=0),
        Wrong("tiles of two by two", {EVEN: "np.tile(np.eye(2), (height // 2, width // 2))"}, "checkerboard_mask",
              "mask: right shape, finite", credit=0),
        Wrong("height for width", {EVEN: "(np.arange(width)[:, None] + np.arange(height)) % 2 == 0"},
              "checkerboard_mask", MASK_VALUES, asks="Turned round", credit=0),
        Wrong("counted through", {EVEN: "np.arange(height * width).reshape(height, width) % 2 == 0"},
              "checkerboard_mask", MASK_VALUES, asks="Stripes", credit=0),
        Wrong("the network sees all", {FORWARD_NET: "network(x)"}, "checkerboard_forward", VALUES,
              asks="sees what it moves", credit=0.3),
        Wrong("log_sigma not masked in log_det", {"-np.sum((1 - mask) * log_sigma": "-np.sum(log_sigma"},
              "checkerboard_forward", LOG_DET, asks="How many", credit=0.75),
        Wrong("mask for 1 - mask in log_det", {"-np.sum((1 - mask) * log_sigma": "-np.sum(mask * log_sigma"},
              "checkerboard_forward", LOG_DET, asks="those that stay", credit=0.75),
        Wrong("all pixels move", {"z = mask * x + (1 - mask) * (x - mu)": "z = (x - mu)"}, "checkerboard_forward",
              VALUES, asks="Everything moves", credit=0.75),
        Wrong("what conditions is dropped", {"z = mask * x + ": "z = "}, "checkerboard_forward", VALUES, asks="gone",
              credit=0.75),
        Wrong("summed over the channels only", {"-np.sum((1 - mask) * log_sigma, axis=(1, 2, 3))":
                                                "-np.sum((1 - mask) * log_sigma, axis=3)"},
              "checkerboard_forward", LOG_DET, credit=0.7),
        Wrong("summed over the batch", {"-np.sum((1 - mask) * log_sigma, axis=(1, 2, 3))":
                                        "-np.sum((1 - mask) * log_sigma)"},
              "checkerboard_forward", LOG_DET, asks="One number", credit=0.7),
        Wrong("log_sigma for sigma", {"(x - mu) * np.exp(-log_sigma)": "(x - mu) / log_sigma"}, "checkerboard_forward",
              VALUES, credit=0.6),
        Wrong("the mask that it knows", {
            "    mask = np.asarray(mask, float)[:, :, None]\n    mu, log_sigma = network(mask * x)":
            "    mask = checkerboard_mask(*mask.shape)[:, :, None] * 1\n    mu, log_sigma = network(mask * x)"},
              "checkerboard_forward", VALUES, credit=0.7),
        Wrong("overwrites the input", {"z = mask * x + (1 - mask) * (x - mu) * np.exp(-log_sigma)":
                                       "x -= (1 - mask) * mu\n    x *= np.exp(-(1 - mask) * log_sigma)\n    z = x"},
              "checkerboard_forward", ALONE, asks="belongs to the caller"),
        Wrong("the inverse's network sees all", {INVERSE_NET: "network(z)"}, "checkerboard_inverse",
              "the inverse undoes the forward transform", credit=0.3),
        Wrong("adds before it scales", {"z * np.exp(log_sigma) + mu": "(z + mu) * np.exp(log_sigma)"},
              "checkerboard_inverse", "x has the values that it must have", credit=0.6),
        Wrong("log_det of the other direction", {"return x, np.sum": "return x, -np.sum"}, "checkerboard_inverse",
              LOG_DET, asks="which direction", credit=0.7)],
    opposite=[
        Opposite("It keeps to another convention: the upper left pixel has 0.", {"% 2 == 0": "% 2 == 1"},
                 parts=["checkerboard_mask"]),
        Opposite("It keeps to another convention: its log_sigma is minus that of the slide, z = sigma (x - mu).",
                 {"np.exp(-log_sigma)": "np.exp(log_sigma)", "return z, -np.sum": "return z, np.sum",
                  "z * np.exp(log_sigma)": "z * np.exp(-log_sigma)", "return x, np.sum": "return x, -np.sum"},
                 parts=["checkerboard_forward", "checkerboard_inverse"]),
        Opposite("It keeps to another convention: it transforms where the mask is 1.",
                 {"np.asarray(mask, float)": "1 - np.asarray(mask, float)"},
                 parts=["checkerboard_forward", "checkerboard_inverse"])],
    variants={
        1: Variant({"mask[i, j] = 1 where i + j is even": "mask[i, j] = 1 where i + j is odd",
                    "z = (x - mu) / sigma                    where it is 0,      sigma = exp(log_sigma)":
                    "z = scale x + shift                     where it is 0,      scale = exp(log_scale)",
                    "mu, log_sigma = network(x_1)            all": "shift, log_scale = network(x_1)         all"},
                   {"% 2 == 0": "% 2 == 1", "(x - mu) * np.exp(-log_sigma)": "(x * np.exp(log_sigma) + mu)",
                    "(z * np.exp(log_sigma) + mu)": "(z - mu) * np.exp(-log_sigma)",
                    "return z, -np.sum": "return z, np.sum", "return x, np.sum": "return x, -np.sum"})})
