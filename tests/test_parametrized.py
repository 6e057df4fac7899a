"""theta is one vector and every array is a view into it, whatever is copied, nested or cast."""
import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.parametrized import walk
from nfnumpy.testing.zoo import BUILDERS

names = st.sampled_from(sorted(BUILDERS))


def shares_theta(flow):
    """Every own array of every part lies inside the root's theta."""
    return all(np.shares_memory(view, flow.theta)
               for part in walk(flow) for view in part.parts(part.theta).values() if view.size)


@given(name=names, how=st.sampled_from(["copy", "deepcopy", "pickle", "astype"]))
def test_copies_are_independent_and_bound_to_a_theta_of_their_own(name, how):
    flow, x = nf.testing.zoo(rng=0)[name]
    twin = {"copy": copy.copy, "deepcopy": copy.deepcopy, "astype": lambda flow: flow.astype(np.float64),
            "pickle": lambda flow: pickle.loads(pickle.dumps(flow))}[how](flow)
    assert shares_theta(flow) and shares_theta(twin) and not np.shares_memory(flow.theta, twin.theta)
    np.testing.assert_array_equal(twin.forward(x)[0], flow.forward(x)[0])
    before = flow.forward(x)[0]
    twin.theta += 1
    np.testing.assert_array_equal(flow.forward(x)[0], before)


def test_writing_into_theta_and_into_an_array_are_the_same():
    flow = nf.Composition([nf.Coupling(2, (3,), rng=0), nf.Coupling(2, (3,), swap=True, rng=1)])
    named = flow.named()
    assert list(named)[:4] == ["0.net.W0", "0.net.b0", "0.net.W1", "0.net.b1"]
    flow.theta[...] = np.arange(flow.n_params)
    np.testing.assert_array_equal(np.concatenate([view.ravel() for view in named.values()]), np.arange(flow.n_params))
    flow.flows[1].net.b1 = 7.0                                   # assigning to an attribute writes into theta as well
    np.testing.assert_array_equal(flow.theta[-2:], [7, 7])
    flow.theta = np.zeros(flow.n_params)
    assert not named["0.net.W0"].any() and shares_theta(flow)


def test_named_gives_the_parts_of_a_gradient():
    flow = nf.Coupling(2, (3,), rng=0)
    gradient = np.arange(float(flow.n_params))
    assert flow.named(gradient)["net.W0"].base is not None
    assert {name: view.shape for name, view in flow.named(gradient).items()} == {
        "net.W0": (3, 1), "net.b0": (3,), "net.W1": (2, 3), "net.b1": (2,)}


def test_the_gradient_is_written_where_the_caller_wants_it():
    for name, (flow, x) in nf.testing.zoo(rng=0).items():
        for method, value in (("forward_vjp", x), ("inverse_vjp", flow.forward(x)[0])):
            (out, log_det), vjp = getattr(flow, method)(value)
            _, expected = vjp(np.ones_like(out), np.ones_like(log_det))
            memory = np.full(flow.n_params, np.nan)
            _, grad_theta = vjp(np.ones_like(out), np.ones_like(log_det), out=memory)
            assert grad_theta is memory, name
            np.testing.assert_array_equal(memory, expected, err_msg=name)


def test_one_number_may_stand_for_equal_pulls_on_all_log_dets():
    for name, (flow, x) in nf.testing.zoo(rng=0).items():
        for method, value in (("forward_vjp", x), ("inverse_vjp", flow.forward(x)[0])):
            (out, log_det), vjp = getattr(flow, method)(value)
            for one, all_rows in zip(vjp(np.zeros_like(out), 2.0), vjp(np.zeros_like(out), np.full(len(x), 2.0))):
                np.testing.assert_allclose(one, all_rows, rtol=1e-14, atol=1e-14, err_msg=name)


def test_a_flow_that_is_part_of_another_is_refused():
    layer = nf.Coupling(2, rng=0)
    nf.Composition([layer])
    with pytest.raises(ValueError, match="part of another one, got one that is; pass copy.copy"):
        nf.Composition([layer])
    nf.Composition([copy.copy(layer)])
    free = nf.Permutation([1, 0])
    with pytest.raises(ValueError, match="part of another one"):
        nf.Composition([free, free])


def test_parts_of_different_dtypes_are_refused_and_those_without_parameters_follow():
    single, double = nf.Coupling(2, rng=0, dtype=np.float32), nf.Coupling(2, rng=0)
    with pytest.raises(ValueError, match=r"one dtype, got \['float32', 'float64'\]; use astype"):
        nf.Composition([single, double])
    flow = nf.Composition([nf.Standardize([0.1, 0.2], [0.3, 0.4]), nf.Permutation([1, 0]), single])
    z, log_det = flow.forward(np.ones((4, 2)))
    assert flow.dtype == z.dtype == log_det.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, int, bool, object])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match="dtype: expected float32 or float64"):
        nf.Coupling(2, dtype=dtype)
    with pytest.raises(ValueError, match="dtype: expected float32 or float64"):
        nf.Coupling(2).astype(dtype)


def test_theta_of_another_length_is_refused():
    flow = nf.Coupling(2, (3,), rng=0)
    with pytest.raises(ValueError, match=r"theta: expected shape \(14,\), got \(3,\)"):
        flow.theta = np.zeros(3)
    with pytest.raises(ValueError, match=r"vector: expected shape \(14,\), got \(3,\)"):
        flow.named(np.zeros(3))


def test_a_part_cannot_be_replaced_behind_thetas_back():
    flow = nf.Coupling(2, (3,), rng=0)
    with pytest.raises(AttributeError, match="net: expected to stay the part that it is, .* write into net.theta"):
        flow.net = nf.MLP(1, (3,), 2)


@pytest.mark.parametrize("name", ["theta", "forward", "widest", "whole_batches"])
def test_a_parameter_cannot_take_the_name_of_something_else(name):
    with pytest.raises(ValueError, match=f"{name}: expected another name, every Flow has an attribute called that"):
        nf.Flow((2,), parameters={name: np.zeros(2)})


def test_the_largest_product_and_the_widest_layer_of_all_parts():
    flow = nf.Composition([nf.Coupling(2, (3, 7)), nf.Permutation([1, 0]), nf.Coupling(2, (4,), swap=True)])
    assert (flow.largest, flow.widest) == (21, 7) and nf.Permutation([1, 0]).widest == 0
