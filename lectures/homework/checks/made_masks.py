"""Checks of `made_masks`: the reference is the library's MADE. Degrees are the student's choice, and tested as such."""
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Fail, Opposite, Property, Variant, Wrong
from nfnumpy.homework.properties import SUPPORTING, Call, agree, as_array, leaves_inputs_alone
from nfnumpy.nets.made import made_masks

READ = 'slide "Autoregressive MLP", the picture of the network'
INTERLEAVED, REVERSED = 1, 3                                     # variants: the outputs' layout, the order
RANGE, EACH = "degrees from 1 to m - 1", "each degree occurs in every layer, where all layers are wide enough"
DEGREES = ["m", "widths"]
MASKS = ["degrees", "hidden_degrees", "outputs"]


def cases(rng, variant):
    """Two inputs first, in the order 2, 1 and with two hidden layers; of hidden ones m = 1, square ones, no layer."""
    yield case([2, 1], [2, 2], 1, variant, shown=[[1, 1], [1, 1]])
    yield case([1, 3, 2], [2, 3], 2, variant, shown=[[2, 1], [1, 2, 2]])
    for m, widths, outputs in ((1, [3], 2), (4, [5, 4], 1), (4, [4, 6, 7], 3), (5, [2], 2), (3, [], 2), (6, [17], 2)):
        yield case(1 + rng.permutation(m), widths, outputs, variant, rng)


def case(degrees, widths, outputs, variant, rng=None, shown=None):
    degrees, m = np.array(degrees), len(degrees)
    hidden = [np.array(layer) for layer in shown] if shown else [rng.integers(1, max(m, 2), width) for width in widths]
    if variant == REVERSED:
        hidden = [m + 1 - layer for layer in hidden]
    inputs = {"m": m, "widths": widths, "degrees": degrees, "hidden_degrees": hidden, "outputs": outputs}
    return Case({**inputs, "m": str(m), "widths": str(widths), "outputs": str(outputs)} if shown else None,
                turned=variant == REVERSED, **inputs)


def reference(case, variant):
    """The library's degrees and masks; turned round, where high degrees come first, by d -> m + 1 - d."""
    def turned(degrees):
        return [case.m + 1 - layer for layer in degrees] if variant == REVERSED else degrees

    def masks(degrees, hidden_degrees, outputs):
        *below, last = made_masks(turned([degrees])[0], turned(hidden_degrees), outputs)
        if variant == INTERLEAVED:
            last = last.reshape(outputs, case.m, -1).swapaxes(0, 1).reshape(last.shape)
        return [*below, last]

    natural = 1 + np.arange(case.m)
    return SimpleNamespace(made_degrees=lambda m, widths: turned(nf.MADE(natural, widths).hidden_degrees),
                           made_masks=masks)


def degrees_of(answers, case, reference):
    """The degrees of each layer, and those that there may be: the reference's, in a layer of m - 1 units."""
    layers = answers.made_degrees(case.m, list(case.widths))
    if not isinstance(layers, (list, tuple)) or len(layers) != len(case.widths):
        raise Fail(f"expected a list of {len(case.widths)} arrays, one for each hidden layer")
    layers = [as_array(layer, f"the degrees of layer {k + 1}") for k, layer in enumerate(layers)]
    for k, (layer, width) in enumerate(zip(layers, case.widths)):
        if layer.shape != (width,) or not (layer == np.round(layer)).all():
            raise Fail(f"layer {k + 1}: expected {width} whole numbers, got {layer.tolist()}")
    allowed = reference.made_degrees(case.m, [max(case.m - 1, 1)])[0]
    return layers, np.unique(allowed)


def numbers(answers, case, reference):
    if case.m > 1:
        degrees_of(answers, case, reference)


def one_input(answers, case, reference):
    if case.m == 1:
        degrees_of(answers, case, reference)


def in_range(answers, case, reference):
    layers, allowed = degrees_of(answers, case, reference) if case.m > 1 else ([], [0])
    for k, layer in enumerate(layers):
        outside = layer[~np.isin(layer, allowed)]
        if outside.size:
            sees_all = (outside[0] < allowed[0]) == case.turned
            raise Fail(f"m = {case.m}: layer {k + 1} has a unit of degree {outside[0]:g}",
                       "Such a unit may see all inputs: which output could use it?" if sees_all else
                       "Such a unit sees no input: what is it for?")


def each_occurs(answers, case, reference):
    layers, allowed = degrees_of(answers, case, reference) if case.m > 1 else ([], [0])
    wide = min(case.widths, default=0) >= len(allowed)
    for k, layer in enumerate(layers if wide else []):
        missing = np.setdiff1d(allowed, layer)
        if missing.size:
            raise Fail(f"m = {case.m}, {len(layer)} units: no unit of layer {k + 1} has degree {missing[0]}",
                       "Through which units does an input reach the output that comes next, if this degree is missing?")


def masks_of(answers, case):
    """The masks as arrays, one for each layer."""
    masks = answers.made_masks(case.degrees, case.hidden_degrees, case.outputs)
    if not isinstance(masks, (list, tuple)) or len(masks) != len(case.hidden_degrees) + 1:
        raise Fail(f"expected a list of {len(case.hidden_degrees) + 1} masks, one for each layer of weights")
    return [as_array(mask, f"mask {k + 1}") for k, mask in enumerate(masks)]


def layers(which, name, suspects, **options):
    """Property: the masks at the places that ``which(case)`` gives are those of the degrees."""
    def check(answers, case, reference):
        got, expected = masks_of(answers, case), masks_of(reference, case)
        for k in which(case):
            require_shape(got[k], expected[k], k)
            agree(got[k], expected[k], f"mask {k + 1}", suspects(case, k))
    return Property(name, check, shows=MASKS, read=READ, **options)


def require_shape(got, expected, k):
    if got.shape != expected.shape:
        raise Fail(f"mask {k + 1}: expected shape {expected.shape}, got {got.shape}",
                   "Which way round is a mask: where do the units above stand, and where those below?"
                   if got.shape == expected.shape[::-1] else "How many units are above, and how many below?")


def suspects_of_hidden(case, k):
    below, above = [case.degrees, *case.hidden_degrees][k:k + 2]
    return [(1.0 * (below[None, :] < above[:, None]), "Which paths are cut if a unit does not see its own degree?")]


def suspects_of_output(case, k):
    below, m = [case.degrees, *case.hidden_degrees][-1], case.m

    def strict(above):
        return 1.0 * (below[None, :] < above[:, None])

    return [(1.0 * (below[None, :] <= np.tile(case.degrees, case.outputs)[:, None]),
             "Input k reaches output k: what may the distribution of x_k depend on?"),
            (strict(np.tile(1 + np.arange(m), case.outputs)), "The inputs have an order: which have the outputs?"),
            (strict(np.repeat(case.degrees, case.outputs)), "Which row is output p of input k?")]


def paths_of(masks, case):
    """Whether there is a path, (outputs, inputs): the product of all masks counts them. Turned round, if they are."""
    sizes = [case.m, *case.widths, case.outputs * case.m]
    turned = any(mask.shape != size for mask, size in zip(masks, zip(sizes[1:], sizes)))
    paths = np.eye(case.m)
    for mask in masks:
        paths = (mask.T if turned else mask) @ paths
    return paths > 0


def connected(answers, case, reference):
    got, expected = masks_of(answers, case), masks_of(reference, case)
    for k, (mask, like) in enumerate(zip(got, expected)):
        require_shape(mask, like, k)
    paths, permitted = paths_of(got, case), paths_of(expected, case)
    if (paths & ~permitted).any():
        a, b = np.argwhere(paths & ~permitted)[0]
        raise Fail(f"row {a} of the outputs sees input {b}, which it must not", "On which path does it get there?")
    if (permitted & ~paths).any():
        a, b = np.argwhere(permitted & ~paths)[0]
        raise Fail(f"row {a} of the outputs does not see input {b}, which it may", "Where is the path cut?")


def zeros_and_ones(answers, case, reference):
    for k, (mask, expected) in enumerate(zip(masks_of(answers, case), masks_of(reference, case))):
        require_shape(mask, expected, k)
        if not np.isin(mask, (0, 1)).all():
            raise Fail(f"mask {k + 1} has other numbers than 0 and 1")


ALL_MASKS = Call(lambda answers, case, degrees: np.concatenate(
    [np.ravel(mask) for mask in answers.made_masks(degrees, case.hidden_degrees, case.outputs)]),
    ["masks"], argument="degrees", shows=MASKS)

ANSWER = '''
import numpy as np


def made_degrees(m, widths):
    return [1 + np.arange(width) % max(m - 1, 1) for width in widths]


def made_masks(degrees, hidden_degrees, outputs):
    masks, below = [], degrees
    for above in hidden_degrees:
        masks.append(below[None, :] <= above[:, None])
        below = above
    masks.append(below[None, :] < np.tile(degrees, outputs)[:, None])
    return masks
'''

LOOPS = '''
import random


def made_degrees(m, widths):
    layers = []
    for width in widths:
        layer = list(range(1, m)) + [random.randint(1, max(m - 1, 1)) for _ in range(width)]
        layer = layer[:width]
        random.shuffle(layer)
        layers.append(layer)
    return layers


def made_masks(degrees, hidden_degrees, outputs):
    layers, masks = [list(degrees)] + [list(h) for h in hidden_degrees], []
    for below, above in zip(layers, layers[1:]):
        masks.append([[1 if b <= a else 0 for b in below] for a in above])
    return masks + [[[float(b < a) for b in layers[-1]] for _ in range(outputs) for a in degrees]]
'''

EXERCISE = Exercise(
    title="MADE's degrees and masks", slide="Autoregressive MLP", minutes=30,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        "made_degrees": [
            Property(RANGE, in_range, share=2, read=READ, shows=DEGREES),
            Property(EACH, each_occurs, share=2, read=READ, shows=DEGREES),
            Property("a whole number for each unit", numbers, shows=DEGREES, **SUPPORTING),
            Property("m = 1 works as well", one_input, shows=DEGREES, **SUPPORTING)],
        "made_masks": [
            layers(lambda case: range(min(1, len(case.hidden_degrees))), "what the first hidden layer sees",
                   suspects_of_hidden),
            layers(lambda case: range(1, len(case.hidden_degrees)), "what the other hidden layers see",
                   suspects_of_hidden),
            layers(lambda case: [len(case.hidden_degrees)], "what the outputs see", suspects_of_output, share=2),
            Property("each output is reached from the inputs before it, and no others", connected, read=READ,
                     shows=MASKS, **SUPPORTING),
            Property("masks have their shapes, and are 0 or 1", zeros_and_ones, shows=MASKS, **SUPPORTING),
            leaves_inputs_alone(ALL_MASKS)]},
    right={
        "loops, lists, and degrees in random order": LOOPS,
        "degrees spread evenly, in ascending order": {
            "1 + np.arange(width) % max(m - 1, 1)": "1 + np.arange(width) * max(m - 1, 1) // width"}},
    wrong=[
        Wrong("degree m", {"% max(m - 1, 1)": "% m"}, "made_degrees", RANGE, asks="which output could use it",
              credit=0.6),
        Wrong("degree 0", {"[1 + np.arange": "[np.arange"}, "made_degrees", RANGE, asks="sees no input", credit=0.2),
        Wrong("all of degree 1", {"% max(m - 1, 1)": "* 0"}, "made_degrees", EACH, asks="is missing", credit=0.6),
        Wrong("random ones, which need not all occur", {
            "1 + np.arange(width) % max(m - 1, 1)": "np.random.default_rng(0).integers(1, max(m, 2), width)"},
            "made_degrees", EACH, asks="is missing", credit=0.6),
        Wrong("m = 1 crashes", {"1 + np.arange(width) % max(m - 1, 1)":
                                "np.array([1 + k % (m - 1) for k in range(width)])"}, "made_degrees",
              "m = 1 works as well"),
        Wrong("not strict at the output", {"below[None, :] < np": "below[None, :] <= np"}, "made_masks",
              "what the outputs see", asks="Input k reaches output k", credit=0.6),
        Wrong("strict between layers", {"below[None, :] <= above": "below[None, :] < above"}, "made_masks",
              "what the other hidden layers see", asks="paths are cut", credit=0.6),
        Wrong("the order at the inputs only", {"np.tile(degrees, outputs)":
                                               "np.tile(np.arange(1, len(degrees) + 1), outputs)"}, "made_masks",
              "what the outputs see", asks="which have the outputs", credit=0.6),
        Wrong("repeat for tile", {"np.tile(degrees": "np.repeat(degrees"}, "made_masks", "what the outputs see",
              asks="Which row", credit=0.7),
        Wrong("the order at the outputs only", {"masks, below = [], degrees":
                                                "masks, below = [], np.arange(1, len(degrees) + 1)"}, "made_masks",
              "what the first hidden layer sees", credit=0.75),
        Wrong("sorts the caller's degrees", {"masks, below = [], degrees":
                                             "degrees.sort()\n    masks, below = [], degrees"}, "made_masks",
              "the caller's arrays stay as they were", asks="belongs to the caller", credit=0.6),
        Wrong("turned round", {"return masks": "return [mask.T for mask in masks]"}, "made_masks",
              "masks have their shapes, and are 0 or 1", asks="Which way round", credit=0.5)],
    opposite=[Opposite("It keeps to another convention: its masks are turned round, (units below, units above).",
                       {"return masks": "return [mask.T for mask in masks]"}, parts=["made_masks"])],
    variants={
        INTERLEAVED: Variant(
            {"Row p m + k of the last one is output p of input k: first all mu, say, then all log_sigma.":
             "With r outputs for each, row r k + p of the last one is output p of input k: mu and\n"
             "    log_sigma, say, of the first input, then those of the second."},
            {"np.tile(degrees": "np.repeat(degrees"}),
        REVERSED: Variant(
            {"1 for the\nfirst and m for the last": "m for the\nfirst and 1 for the last",
             "the inputs of degree up to d": "the inputs of degree d and higher",
             "from 1 to m - 1": "from 2 to m", "not higher than its own": "not lower than its own",
             "whose degree is lower than its own": "whose degree is higher than its own"},
            {"[1 + np.arange": "[2 + np.arange", "below[None, :] <= above": "below[None, :] >= above",
             "below[None, :] < np": "below[None, :] > np"})})
