"""The strategies draw what they promise, shrink to the smallest, and find planted bugs in a tiny flow."""
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.flows import Squeeze
from nfnumpy.flows.partitions import Checkerboard, Halves
from nfnumpy.testing import strategies
from nfnumpy.testing.broken.autoregressive import LogDetOfTheOtherDirection
from nfnumpy.testing.broken.coupling import OnlyThroughTheNet
from nfnumpy.testing.broken.images import OncePerImage
from nfnumpy.testing.broken.linear import ChainEndsAtW
from nfnumpy.parametrized import walk

# without Phase.explain, which runs everything again
QUIET = settings(max_examples=1000, deadline=None, derandomize=True, database=None,
                 phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))
FOUND = settings(QUIET, phases=[Phase.generate])                 # any will do, however large
dims = st.integers(1, 4)


@given(st.data(), dims)
def test_random_flows_keep_every_property(data, dim):
    flow = data.draw(strategies.flows(dim))
    nf.testing.check_flow(flow, data.draw(strategies.batches(dim)))


@given(st.data(), st.one_of(strategies.image_shapes(3, 2), strategies.image_shapes(4, 2, even=True)))
def test_random_flows_on_images_keep_every_property(data, shape):
    flow = data.draw(strategies.image_flows(shape))
    assert flow.x_shape == flow.z_shape == shape
    nf.testing.check_flow(flow, data.draw(strategies.batches(shape)))


@given(st.data(), strategies.image_shapes())
def test_batches(data, shape):
    x = data.draw(strategies.batches(shape))
    assert 2 <= len(x) <= 4 and x.shape[1:] == shape and x.dtype == np.float64
    assert np.abs(x).max() <= 2 and (x * 8 == np.round(x * 8)).all()
    assert len(np.unique(x.reshape(len(x), -1), axis=0)) == len(x)


@given(st.data(), dims, st.sampled_from([1.5, 10.0, 1000.0]))
def test_matrices_and_orders(data, dim, max_condition):
    W = data.draw(strategies.invertible_matrices(dim, max_condition))
    assert W.shape == (dim, dim) and np.linalg.cond(W) <= max_condition * (1 + 1e-9)
    assert sorted(data.draw(strategies.orders(dim))) == list(range(dim))


@given(strategies.image_shapes(6, 2, even=True))
def test_even_shapes(shape):
    assert shape[0] % 2 == shape[1] % 2 == 0 and 1 <= shape[2] <= 2 and max(shape) <= 6


@given(st.data(), st.sampled_from([(), (1,), (8, 8)]))
def test_theta_fits_the_flow_which_it_leaves_alone(data, hidden):
    flow = nf.GaussianAutoregressive(2, hidden, rng=0)
    before = flow.theta.copy()
    theta = data.draw(strategies.theta_for(flow))
    assert theta.shape == flow.theta.shape and theta.dtype == np.float64
    np.testing.assert_array_equal(flow.theta, before)


def test_both_signs_of_the_determinant_and_every_kind_of_layer_come_up():
    for sign in (-1, 1):
        find(strategies.invertible_matrices(3), lambda W: np.sign(np.linalg.det(W)) == sign, settings=FOUND)
    wanted = {nf.Permutation, nf.Standardize, nf.Coupling, nf.GaussianAutoregressive, nf.Inverse, nf.Composition}
    assert_all_come_up(strategies.flows(2), wanted, lambda flow: {type(flow)})


def test_every_kind_of_layer_on_images_comes_up():
    wanted = {nf.ActNorm, nf.Conv1x1, nf.MaskedConv, nf.EmergingConv, Squeeze, Checkerboard, Halves, nf.Inverse}
    assert_all_come_up(strategies.image_flows((2, 2, 2)), wanted, lambda flow: {
        type(thing) for part in walk(flow) for thing in (part, getattr(part, "partition", None))})


def assert_all_come_up(flows, wanted, kinds):
    seen = set()

    def complete(flow):
        seen.update(kinds(flow))
        return wanted <= seen

    find(flows, complete, settings=FOUND)                        # NoSuchExample, if they never do


@pytest.mark.parametrize("layer, method, cls", (
    (lambda dim: st.builds(ChainEndsAtW, st.just(dim)), nf.testing.check_vjp, ChainEndsAtW),
    (lambda dim: st.builds(LogDetOfTheOtherDirection, st.just(dim), st.just((2,)), st.just("tanh")),
     nf.testing.check_log_det, LogDetOfTheOtherDirection),
    (lambda dim: st.builds(OnlyThroughTheNet, st.just(dim), st.just((2,)), st.just("tanh")),
     nf.testing.check_vjp, OnlyThroughTheNet),
))
def test_a_planted_bug_shrinks_to_one_layer_and_two_rows(layer, method, cls):
    planted = strategies.with_theta(layer(2))

    def fails(pair):
        try:
            method(*pair)
        except AssertionError:
            return True
        return False

    cases = st.tuples(strategies.flows(2, also=[planted]), strategies.batches(2))
    flow, x = find(cases, fails, settings=QUIET)
    assert type(flow) is cls and len(x) == 2                     # not a composition, not read backwards
    assert np.abs(x).max() <= 0.125                              # zero, and the smallest row that differs from it


def test_a_planted_bug_on_images_shrinks_to_one_layer_of_two_numbers():
    """log abs det W counted once, where every pixel counts: what is left is the smallest W that changes volume."""
    def planted(shape):
        linear = st.builds(nf.Triangular, st.just(shape[2]))
        return strategies.with_theta(st.builds(OncePerImage, st.just(shape), linear=linear))

    def fails(pair):
        try:
            nf.testing.check_log_det(*pair)
        except AssertionError:
            return True
        return False

    cases = strategies.image_shapes(2, 2).flatmap(lambda shape: st.tuples(
        strategies.image_flows(shape, also=[planted(shape)]), strategies.batches(shape)))
    flow, x = find(cases, fails, settings=QUIET)
    assert type(flow) is OncePerImage and x.shape in ((2, 1, 2, 1), (2, 2, 1, 1))
    assert abs(flow.linear.log_diagonal[0]) == 0.125 and np.abs(x).max() <= 0.125


def test_without_hypothesis_the_rest_works_and_the_strategies_say_what_to_install():
    script = ("import sys; sys.modules['hypothesis'] = None\n"
              "import numpy as np, nfnumpy as nf\n"
              "flow, x = nf.testing.zoo(rng=0)['maf']\n"
              "nf.testing.check_flow(flow, x); nf.testing.broken.hall\n"
              "try:\n    nf.testing.strategies\nexcept ImportError as error:\n    print(error)\n")
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "nfnumpy.testing.strategies needs Hypothesis; install it: python -m pip install hypothesis\n"


def test_other_attributes_are_refused_as_usual():
    with pytest.raises(AttributeError, match="module 'nfnumpy.testing' has no attribute 'strategy'"):
        nf.testing.strategy
