"""Checks of `squeeze`: the reference is the library's, which knows both orders of the channels."""
from types import SimpleNamespace

import numpy as np

from nfnumpy.flows.squeeze import Squeeze
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Variant, Wrong
from nfnumpy.homework.properties import (Call, equals, leaves_inputs_alone, log_det_of_jacobian, rows_apart, shapes,
                                         undoes)

READ = 'slide "RealNVP", the box "Image partitioning"'
BY_CHANNEL = 1                                                   # the variant with PyTorch's order


def cases(rng, variant):
    """Whole numbers that say where they were, (row, column, channel) as digits; then sides that differ, c = 2, 3."""
    for shape in ((1, 2, 2, 1), (1, 2, 4, 1), (1, 2, 2, 2)):
        places = np.indices(shape[1:]).reshape(3, -1).T @ [100, 10, 1]
        yield case(places.reshape(shape) + 0.0, variant, show=True)
    for shape in ((2, 2, 4, 2), (1, 4, 2, 3)):
        yield case(rng.standard_normal(shape), variant)


def case(x, variant, show=False):
    flow = Squeeze(x.shape[1:], "channel" if variant == BY_CHANNEL else "pixel")
    z = flow.forward(x)[0]
    return Case({"x": x, "z": z} if show else None, x=x, z=z, flow=flow)


def reference(case, variant):
    """The library's flow."""
    return SimpleNamespace(squeeze_forward=case.flow.forward, squeeze_inverse=case.flow.inverse)


FORWARD = Call(lambda answers, case, x: answers.squeeze_forward(x), ["z", "log_det"], shows=["x"])
INVERSE = Call(lambda answers, case, z: answers.squeeze_inverse(z), ["x", "log_det"], argument="z", shows=["z"])


def suspects_of_z(case, expected):
    (n, height, width, c), z_shape = case.x.shape, expected["z"].shape
    blocks = case.x.reshape(n, height // 2, 2, width // 2, 2, c)
    return [(blocks.transpose(0, 1, 3, 4, 2, 5).reshape(z_shape), "Each block's second and third pixel are exchanged: "
                                                                  "which comes first, to the right or below?"),
            (case.x.reshape(z_shape), "A reshape moves no number: do the four neighbours lie side by side in memory?"),
            (blocks.transpose(0, 2, 4, 1, 3, 5).reshape(z_shape), "Are the four numbers of a pixel neighbours in the "
                                                                  "image, or do they come from its four quarters?"),
            (blocks.transpose(0, 1, 3, 5, 2, 4).reshape(z_shape), "Right for one channel: which index runs faster, "
                                                                  "the pixel of the block or the old channel?")]


def suspects_of_x(case, expected):
    return [(case.z.reshape(expected["x"].shape),
             "A reshape moves no number: do the four neighbours lie side by side in memory?")]


def suspects_of_log_det(case, expected):
    return [(expected["log_det"] + np.log(4), "Are four numbers made into one here, or is each number still there?")]


ANSWER = '''
import numpy as np


def squeeze_forward(x):
    n, height, width, c = x.shape
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, c)
    z = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, height // 2, width // 2, 4 * c)
    return z, np.zeros(n)


def squeeze_inverse(z):
    n, rows, columns, channels = z.shape
    blocks = z.reshape(n, rows, columns, 2, 2, channels // 4)
    x = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * rows, 2 * columns, channels // 4)
    return x, np.zeros(n)
'''

BY_INDEX = '''
import numpy as np


def squeeze_forward(x):
    n, height, width, c = x.shape
    z = np.empty((n, height // 2, width // 2, 4 * c))
    for i in range(height // 2):
        for j in range(width // 2):
            for dy in range(2):
                for dx in range(2):
                    for k in range(c):
                        z[:, i, j, (2 * dy + dx) * c + k] = x[:, 2 * i + dy, 2 * j + dx, k]
    return z, [0] * n


def squeeze_inverse(z):
    c = z.shape[-1] // 4
    x = np.empty((len(z), 2 * z.shape[1], 2 * z.shape[2], c))
    for at in range(4):
        x[:, at // 2::2, at % 2::2] = z[..., at * c:(at + 1) * c]
    return x, [0] * len(z)
'''

VALUES_Z, VALUES_X = "z has the values that it must have", "x has the values that it must have"
AXES = "blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, height"
EXERCISE = Exercise(
    title="Squeeze", slide="RealNVP", minutes=15, cases=cases, reference=reference, answer=ANSWER,
    parts={
        "squeeze_forward": [
            equals(FORWARD, "z", suspects=suspects_of_z, share=3, read=READ),
            equals(FORWARD, "log_det", share=0.5, alone=False, suspects=suspects_of_log_det,
                   read='slide "Jacobian structure", case 1'),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "z", read='slide "Jacobian structure", case 1'),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD)],
        "squeeze_inverse": [
            equals(INVERSE, "x", suspects=suspects_of_x, share=3, read=READ),
            equals(INVERSE, "log_det", share=0.5, alone=False, suspects=suspects_of_log_det,
                   read='slide "Jacobian structure", case 1'),
            shapes(INVERSE),
            undoes(INVERSE, FORWARD, "x", "the inverse undoes squeeze", read=READ),
            rows_apart(INVERSE),
            leaves_inputs_alone(INVERSE)]},
    right={
        "by index": BY_INDEX,
        "four slices": {
            "    blocks = x.reshape(n, height // 2, 2, width // 2, 2, c)\n"
            "    z = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, height // 2, width // 2, 4 * c)\n":
            "    z = np.concatenate([x[:, dy::2, dx::2] for dy in (0, 1) for dx in (0, 1)], axis=-1)\n"}},
    wrong=[
        Wrong("a reshape alone", {AXES: "x.reshape(n, height"}, "squeeze_forward", VALUES_Z, asks="moves no number",
              credit=0),
        Wrong("quarters for blocks", {AXES: "blocks.transpose(0, 2, 4, 1, 3, 5).reshape(n, height"}, "squeeze_forward",
              VALUES_Z, asks="quarters", credit=0),
        Wrong("log 4", {"return z, np.zeros(n)": "return z, np.full(n, np.log(4))"}, "squeeze_forward",
              "log_det has the values that it must have", asks="each number", credit=0.85),
        Wrong("log_det is one number", {"return z, np.zeros(n)": "return z, 0.0"}, "squeeze_forward",
              "log_det has the values that it must have", asks="what belongs to each sample", credit=0.8),
        Wrong("height and width exchanged", {"n, height, width, c = x.shape": "n, width, height, c = x.shape"},
              "squeeze_forward", VALUES_Z, credit=0),
        Wrong("a mean of each block", {
            "    return z, np.zeros(n)": "    z[...] = np.tile(z.reshape(*z.shape[:3], 4, c).mean(axis=3), 4)\n"
            "    return z, np.zeros(n)"}, "squeeze_forward", VALUES_Z, credit=0),
        Wrong("the inverse by a reshape alone", {"blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2": "z.reshape(n, 2"},
              "squeeze_inverse", VALUES_X, asks="moves no number", credit=0),
        Wrong("the inverse of another order", {
            "blocks = z.reshape(n, rows, columns, 2, 2, channels // 4)":
            "blocks = z.reshape(n, rows, columns, channels // 4, 2, 2).transpose(0, 1, 2, 4, 5, 3)"}, "squeeze_inverse",
            "the inverse undoes squeeze", credit=0.5),
        Wrong("the inverse puts pixels into quarters", {
            "blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2": "blocks.transpose(0, 3, 1, 4, 2, 5).reshape(n, 2"},
            "squeeze_inverse", "the inverse undoes squeeze", credit=0)],
    opposite=[
        Opposite("It keeps to another convention: the order of the channels is that of PyTorch, 4 k + 2 dy + dx.", {
            AXES: "blocks.transpose(0, 1, 3, 5, 2, 4).reshape(n, height",
            "blocks = z.reshape(n, rows, columns, 2, 2, channels // 4)":
            "blocks = z.reshape(n, rows, columns, channels // 4, 2, 2).transpose(0, 1, 2, 4, 5, 3)"}),
        Opposite("It keeps to another convention: a block's lower left pixel comes before its upper right one.", {
            AXES: "blocks.transpose(0, 1, 3, 4, 2, 5).reshape(n, height",
            "blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2": "blocks.transpose(0, 1, 4, 2, 3, 5).reshape(n, 2"})],
    variants={
        BY_CHANNEL: Variant(
            {"z[i, j, (2 dy + dx) c + k] = x": "z[i, j, 4 k + 2 dy + dx] = x",
             "first the c channels of the block's upper left pixel, then those of its upper right, lower left and\n    "
             "lower right one.":
             "first the old channel 0 of the block's upper left, upper right, lower left and lower right\n    pixel, "
             "then the old channel 1 of the four, and so on."},
            {"blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, height":
             "blocks.transpose(0, 1, 3, 5, 2, 4).reshape(n, height",
             "blocks = z.reshape(n, rows, columns, 2, 2, channels // 4)":
             "blocks = z.reshape(n, rows, columns, channels // 4, 2, 2).transpose(0, 1, 2, 4, 5, 3)"})})
