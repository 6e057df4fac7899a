"""Composition and Inverse: the chain rule, the order of things, steps one can watch, contexts; sums of samples."""
import copy
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.arrays import sum_event
from nfnumpy.testing.zoo import randomize

rows = np.random.default_rng(0).standard_normal((4, 3))


def three_steps(seed=0):
    rng = np.random.default_rng(seed)
    return [randomize(flow, rng) for flow in (nf.GaussianAutoregressive(3, (5,), "tanh", rng=rng), nf.Permutation([2, 0, 1]),
                                              nf.Coupling(3, (5,), "tanh", rng=rng))]


@given(seed=st.integers(0, 1000))
def test_a_composition_applies_its_flows_in_order_and_adds_their_log_dets(seed):
    f1, f2, f3 = three_steps(seed)
    z1, log_det1 = f1.forward(rows)
    z2, log_det2 = f2.forward(z1)
    z3, log_det3 = f3.forward(z2)
    flow = nf.Composition(three_steps(seed))
    z, log_det = flow.forward(rows)
    np.testing.assert_array_equal(z, z3)
    np.testing.assert_array_equal(log_det, log_det1 + log_det2 + log_det3)
    for (z_k, log_det_k), expected in zip(flow.trajectory(rows), [(z1, log_det1), (z2, log_det2), (z3, log_det3)], strict=True):
        np.testing.assert_array_equal(z_k, expected[0])
        np.testing.assert_array_equal(log_det_k, expected[1])


def many_couplings(n_steps, reversible, hidden=(64,)):
    rng = np.random.default_rng(0)
    return nf.Composition([randomize(nf.Coupling(8, hidden, "tanh", swap=k % 2 == 1, rng=rng), rng) for k in range(n_steps)],
                          reversible)


@given(seed=st.integers(0, 1000), method=st.sampled_from(["forward_vjp", "inverse_vjp"]))
def test_a_reversible_composition_has_the_same_gradients(seed, method):
    """Inputs are recomputed with their round-trip error, some 1e-14 here."""
    plain, reversible = nf.Composition(three_steps(seed)), nf.Composition(three_steps(seed), reversible=True)
    rng = np.random.default_rng(seed)
    grad, grad_log_det = rng.standard_normal((4, 3)), rng.standard_normal(4)
    (outputs, vjp), (expected, expected_vjp) = getattr(reversible, method)(rows), getattr(plain, method)(rows)
    for got, wanted in zip((*outputs, *vjp(grad, grad_log_det)), (*expected, *expected_vjp(grad, grad_log_det)), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-8)
    assert reversible.config()["reversible"] and copy.copy(reversible).reversible and "reversible" not in plain.config()


def test_the_memory_of_a_reversible_composition_stays_flat():
    """Peak memory of one gradient, by tracemalloc: it grows with the steps, and with `reversible` only by theta's gradient."""
    x = np.random.default_rng(0).standard_normal((500, 8))

    def peak(n_steps, reversible):
        model = nf.NormalizingFlow(many_couplings(n_steps, reversible))
        nf.negative_log_likelihood(model, x)
        tracemalloc.start()
        try:
            nf.negative_log_likelihood(model, x)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(16, False) > 3 * peak(2, False)
    assert peak(16, True) < 1.5 * peak(2, True)


def test_flows_returns_what_was_composed_and_the_list_stays_the_callers():
    flows = three_steps()
    flow = nf.Composition(flows)
    assert flow.flows == flows and len(flows) == 3
    flow.inverse(rows)
    assert flow.flows == flows


def test_what_cannot_be_composed_is_refused():
    with pytest.raises(ValueError, match="flows: expected at least one flow, got none"):
        nf.Composition([])
    with pytest.raises(ValueError, match=r"expected flow 1 to take samples of shape \(2,\).*got a Coupling that takes \(3,\)"):
        nf.Composition([nf.Coupling(2), nf.Coupling(3)])


@pytest.mark.parametrize("call, message", (
    (lambda: nf.Composition(nf.Coupling(2)), r"flows: expected a list of flows, got a Coupling; write \[flow\]"),
    (lambda: nf.Composition(3), "flows: expected a list of flows, got a int"),
    (lambda: nf.Composition([nf.Coupling(2), nf.MLP(1, (), 1)]), "flows: expected flows, got a MLP at index 1"),
    (lambda: nf.Composition([nf.Coupling]), "flows: expected flows, got a type at index 0"),
    (lambda: nf.Inverse([nf.Coupling(2)]), "flow: expected a flow, got a list")))
def test_other_things_than_flows_are_refused_by_name(call, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        call()


def test_inverse_takes_nothing_from_data():
    """Also deep inside: an ActNorm read backwards keeps its parameters, and z is f(x)."""
    flow = nf.Composition([nf.Inverse(nf.Composition([nf.Permutation([2, 0, 1]), nf.ActNorm((3,))])), nf.ActNorm((3,))])
    z = flow.initialize(rows)
    assert not flow.flows[0].theta.any() and flow.flows[1].theta.all()
    np.testing.assert_allclose(z, flow.forward(rows)[0], atol=1e-15)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-15)


def test_inverse_swaps_the_two_directions():
    flow, = (f for f in three_steps()[:1])
    z, log_det = flow.forward(rows)
    inverse = nf.Inverse(flow)
    x, back = inverse.inverse(rows)
    np.testing.assert_array_equal(x, z)
    np.testing.assert_array_equal(back, log_det)
    assert inverse.passes == (3, 1) and nf.Composition([inverse]).passes == (3, 1)


class Shift(nf.Flow):
    """z = x - c for a context c: the smallest flow that takes one."""

    def __init__(self):
        super().__init__((3,), parameters={"b": np.zeros(3)})
        self.context = 0.0

    def forward_vjp(self, x):
        def vjp(grad_z, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            grad["b"][...] = grad_z.sum(axis=0)
            return grad_z.copy(), grad_theta

        return (self.as_x(x) + self.b - self.context, np.zeros(len(x))), vjp

    def initialize(self, x):
        self.b = -x.mean(axis=0)
        return self.forward(x)[0]

    def given(self, c):
        return self.sharing(context=c)


def test_given_binds_a_context_at_any_depth_and_shares_theta():
    flow = nf.Composition([nf.Permutation([2, 1, 0]), nf.Composition([Shift(), nf.Permutation([2, 1, 0])])])
    bound = flow.given(rows)
    np.testing.assert_array_equal(bound.forward(rows)[0], flow.forward(rows)[0] - rows[:, ::-1])
    flow.theta[...] = 1
    np.testing.assert_array_equal(bound.theta, flow.theta)
    np.testing.assert_array_equal(bound.forward(rows)[0], flow.forward(rows)[0] - rows[:, ::-1])
    with pytest.raises(ValueError, match="shares another one's theta"):  # composing it would cut the original off from its theta
        nf.Composition([bound, nf.Permutation([0, 1, 2])])
    without = nf.Composition(three_steps())
    assert without.given(rows) is without


def test_initialize_passes_on_what_the_earlier_flows_give():
    flow = nf.Composition([nf.Standardize([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]), Shift(), Shift()])
    z = flow.initialize(rows)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(z, flow.forward(rows)[0])
    np.testing.assert_allclose(flow.flows[1].b, -((rows - [1, 2, 3]) / 2).mean(axis=0))
    np.testing.assert_allclose(flow.flows[2].b, 0, atol=1e-15)


def test_a_flow_without_formulas_says_which_are_missing():
    flow = nf.Flow((2,))
    for method in (flow.forward, flow.inverse):
        with pytest.raises(NotImplementedError, match="Flow does not implement (forward|inverse)_vjp"):
            method(np.zeros((1, 2)))


def test_a_shape_that_is_no_tuple_is_named():
    for shapes, says in (((2,), r"x_shape: expected a tuple such as \(2,\), got 2"),
                         (((2,), 3), r"z_shape: expected a tuple such as \(3,\), got 3"),
                         ((2.5,), r"x_shape: expected a tuple such as \(2,\), got 2.5")):
        with pytest.raises(TypeError, match=f"^{says}$"):
            nf.Flow(*shapes)


@given(shape=st.lists(st.integers(0, 4), min_size=2, max_size=4), kind=st.sampled_from(["f4", "f8", "c16", "i8", "u1", "?"]),
       seed=st.integers(0, 1000))
def test_sums_are_those_of_numpy(shape, kind, seed):
    """Over everything but the batch axis, of numbers of any kind and of none; infinities stay in their row."""
    values = (50 * np.random.default_rng(seed).standard_normal(shape)).astype(np.int8).astype(kind)
    if kind != "?" and kind not in ("i8", "u1") and values.size:
        values[(0,) * len(shape)] = np.inf
    wanted = values.reshape(shape[0], math.prod(shape[1:])).sum(axis=1)
    got = sum_event(values)
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-4)
