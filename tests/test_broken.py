"""The hall of broken flows: each is caught by the check that should catch it, and the correct flow beside it passes."""
import copy
import inspect

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.testing.broken import HALL, hall, impostors

EXHIBITS = hall(rng=0)
LAYERS = {"permutation", "standardize", "diagonal", "triangular", "dense", "PLU", "QR", "1x1 convolution",
          "activation normalization", "masked convolution", "emerging convolution", "MADE",
          "Gaussian autoregressive flow", "coupling", "checkerboard", "multi-scale", "affine transformer",
          "other transformers", "mixture of logistics", "composition",
          "inverse", "squeeze", "logit", "dequantization", "bits per dimension", "negative log-likelihood", "reverse KL",
          "planar flow", "radial flow", "continuous-time flow", "context", "model", "any layer"}
REPORTS = ("VincentStimper/normalizing-flows issue 27", "ikostrikov/pytorch-flows issue 16",
           "jaywalnut310/glow-tts issue 17",
           "danielward27/flowjax issue 169", "rll/deepul issue 4", "pclucas14/pytorch-glow pull request 1",
           "wohlert/semi-supervised-pytorch issue 21", "openai/glow issue 40", "chaiyujin/glow-pytorch issue 7")


@pytest.mark.parametrize("name", HALL)
def test_it_is_caught_by_its_check_which_says_why(name):
    exhibit = EXHIBITS[name]
    message = exhibit.message()
    assert message is not None, f"{exhibit.check} passes"
    assert message.startswith(f"{exhibit.check}: ") and exhibit.says in message and len(exhibit.story) > 30


@pytest.mark.parametrize("name", HALL)
def test_the_correct_one_beside_it_passes(name):
    exhibit = EXHIBITS[name]
    given = copy.deepcopy(exhibit.arguments)
    if exhibit.says != "an output sees its own input":           # what is broken there is a network, not a flow
        getattr(nf.testing, exhibit.check)(exhibit.correct, *given)
    if isinstance(exhibit.correct, nf.Flow):
        batch = given and np.shape(given[0])[1:] == exhibit.correct.x_shape
        x = given[0] if batch else np.random.default_rng(0).standard_normal((4, *exhibit.correct.x_shape))
        if nf.testing.common.has(exhibit.correct, "forward_vjp"):
            nf.testing.check_flow(exhibit.correct, x)


def test_other_parameters_are_caught_as_well():
    missed = [name for name, exhibit in hall(rng=1).items() if exhibit.message() is None]
    assert not missed


def test_every_layer_has_at_least_three():
    counts = {layer: [name for name, (other, _) in HALL.items() if other == layer] for layer, _ in HALL.values()}
    assert counts.keys() == LAYERS
    few = {layer: names for layer, names in counts.items() if len(names) < 3}
    assert not few


def test_the_public_reports_are_all_there():
    modules = [module for module in vars(nf.testing.broken).values() if inspect.ismodule(module)]
    rooms = " ".join("".join(map(inspect.getsource, modules)).split())
    assert [report for report in REPORTS if report not in rooms] == []


@pytest.mark.parametrize("name", impostors(rng=0))
def test_an_impostor_passes_every_property_and_a_value_test_catches_it(name):
    flow, asked_for, pattern = impostors(rng=0)[name]
    x = np.random.default_rng(0).standard_normal((5, *flow.x_shape))
    nf.testing.check_flow(flow, x)
    model = nf.NormalizingFlow(flow)
    nf.testing.check_density(model)
    nf.testing.check_samples(model)
    assert not np.allclose(flow.forward(x)[0], asked_for.forward(x)[0])
    if pattern is not None:
        nf.testing.check_dependence(asked_for, pattern)
        with pytest.raises(AssertionError, match="check_dependence"):
            nf.testing.check_dependence(flow, pattern)
