"""Models of other libraries: what they computed, in files beside the lecture, against ours with the same weights."""
from types import SimpleNamespace

import numpy as np
import pytest

import nfnumpy as nf
from lectures.lecture02.outgrow import from_flowjax, from_nflows, from_normflows, from_zuko, relabelling
from nfnumpy.flows.squeeze import Squeeze

BUILD = {"zuko_maf": from_zuko.maf, "zuko_realnvp": from_zuko.realnvp,
         "nflows_maf": from_nflows.maf, "nflows_realnvp": from_nflows.realnvp,
         "normflows_maf": from_normflows.maf, "normflows_realnvp": from_normflows.realnvp,
         "normflows_glow": lambda arrays: from_normflows.glow(arrays, shape=(4, 4, 1)),
         "flowjax_maf": from_flowjax.maf, "flowjax_realnvp": from_flowjax.realnvp}

# Both sides add and multiply the same numbers in different orders: a few hundred roundings of 1e-16, and a
# log-determinant near zero is the sum of larger numbers. Slips in a formula or a layout are far larger.
TOLERANCE = 1e-12


def recorded(name):
    """What the library computed, in our layouts."""
    record = relabelling.read(name)
    if name == "normflows_glow":
        for key in ("x", "gradient_x", "sample"):
            setattr(record, key, from_normflows.channels_last(getattr(record, key)))
        flow = BUILD[name](record.weights).flow
        record.z, record.noise = from_normflows.noise(flow, record.z), from_normflows.noise(flow, record.noise)
    return SimpleNamespace(name=name, **vars(record))


@pytest.fixture(params=BUILD, scope="module")
def record(request):
    return recorded(request.param)


def gradients(record, model):
    """Pairs of gradients with respect to the parameters, ours and theirs, array by array."""
    _, gradient = nf.negative_log_likelihood(model, record.x)
    if record.name == "normflows_maf":                           # the one mapping that does not only reorder
        ours, theirs = from_normflows.maf_gradient(record.weights, model, gradient), record.gradients
        assert ours.keys() == theirs.keys()
    else:
        ours = model.flow.named(gradient)
        theirs = BUILD[record.name]({**record.weights, **record.gradients}).flow.named()
    return {name: (ours[name], theirs[name]) for name in theirs if not name.endswith("linear.b")}  # normflows has none


def differences(record, weights):
    """For everything recorded, the largest difference to ours relative to the largest number."""
    model = BUILD[record.name](weights)
    log_p, vjp = model.log_prob_vjp(record.x)
    (z, z_log_det), (sample, sample_log_det) = model.flow.forward(record.x), model.flow.inverse(record.noise)
    pairs = {"log_prob": (log_p, record.log_prob), "gradient_x": (vjp(-1 / len(log_p))[0], record.gradient_x),
             "z": (z, record.z), "z_log_det": (z_log_det, record.z_log_det),
             "sample": (sample, record.sample), "sample_log_det": (sample_log_det, record.sample_log_det),
             **gradients(record, model)}
    assert all(ours.shape == theirs.shape for ours, theirs in pairs.values())
    return {name: np.abs(ours - theirs).max() / np.abs(theirs).max() for name, (ours, theirs) in pairs.items()}


def test_ours_computes_what_the_library_computed(record):
    found = differences(record, record.weights)
    assert all(value <= TOLERANCE for value in found.values()), found    # a NaN is not: no recorded array is all zeros


def test_no_gradient_is_lost_on_the_way(record):
    """Numbers that only move keep their sum of squares: each of the library's parameters has arrived, and once."""
    theirs = sum((value ** 2).sum() for value in record.gradients.values())
    ours = sum((value ** 2).sum() for _, value in gradients(record, BUILD[record.name](record.weights)).values())
    assert np.isclose(ours, theirs, rtol=1e-12)


def test_every_weight_is_seen(record):
    """A millionth more in one entry of any array, the one with the largest gradient, and the densities differ."""
    for name, gradient in record.gradients.items():
        changed = record.weights[name].copy()
        changed[np.unravel_index(np.abs(gradient).argmax(), gradient.shape)] += 1e-6
        assert differences(record, {**record.weights, name: changed})["log_prob"] > 10 * TOLERANCE, name


SLIPS = {
    "zuko: parameters of the sampling direction": ("zuko_maf", from_zuko.ZukoAutoregressive, from_zuko.SoftClip()),
    "zuko: our bound": ("zuko_realnvp", from_zuko.ZukoCoupling, relabelling.Backwards(nf.Affine())),
    "nflows: softplus in its coupling": (
        "nflows_realnvp", from_nflows.NflowsCoupling, relabelling.Backwards(relabelling.Softplus(0.0, 1e-3))),
    "nflows: without the 0.001": (
        "nflows_maf", from_nflows.NflowsAutoregressive, relabelling.Backwards(relabelling.Softplus(0.0, 0.0))),
    "normflows: its masked layer not reversed": (
        "normflows_maf", from_normflows.NormflowsAutoregressive, relabelling.Sigmoid(1e-3)),
    "normflows: a bound": ("normflows_realnvp", from_normflows.NormflowsCoupling, nf.Affine()),
    "normflows: Glow's sigmoid in the other direction": (
        "normflows_glow", from_normflows.GlowCoupling, relabelling.Sigmoid(0.0)),
    "flowjax: without its start": (
        "flowjax_realnvp", from_flowjax.FlowjaxCoupling, relabelling.Backwards(relabelling.Softplus(0.0, 1e-2))),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_wrong_convention_is_seen(slip, monkeypatch):
    name, layer, transformer = SLIPS[slip]
    monkeypatch.setattr(layer, "transformer", transformer)
    found = differences(recorded(name), relabelling.read(name).weights)
    assert found["log_prob"] > 1e-4 and found["z"] > 1e-4, found


def test_the_order_of_a_squeeze_is_seen(monkeypatch):
    monkeypatch.setattr(from_normflows, "Squeeze", lambda shape, order: Squeeze(shape, order="pixel"))
    record = recorded("normflows_glow")
    assert differences(record, record.weights)["log_prob"] > 1e-4


def test_transformers_keep_the_contract(record):
    """Each library's layer, adjoints of both directions included, is held to the package's own checks."""
    model = BUILD[record.name](record.weights)
    assert nf.testing.check_flow(model.flow, record.x[:3])


@pytest.mark.parametrize("name", ["zuko_maf", "nflows_maf", "normflows_maf", "flowjax_maf"])
def test_mu_and_sigma_are_those_of_the_slides(name):
    record = recorded(name)
    layer = next(flow for flow in BUILD[name](record.weights).flow.flows if isinstance(flow, nf.GaussianAutoregressive))
    mu, log_sigma = layer.conditionals(record.x)
    np.testing.assert_allclose(layer.forward(record.x)[0], (record.x - mu) * np.exp(-log_sigma), rtol=1e-10, atol=1e-10)


def test_widths_that_ours_cannot_take_are_refused():
    """Nine units for four degrees: theirs have 3, 2, 2, 2 of them, ours are spread from both ends."""
    mask = np.arange(9)[:, None] % 4 >= np.arange(5)
    network = [(np.ones((9, 5)), np.ones(9), mask * 1.0), (np.ones((10, 9)), np.ones(10), np.ones((10, 9)))]
    with pytest.raises(ValueError, match="multiples of 4 agree"):
        relabelling.autoregressive(nf.GaussianAutoregressive, network, relabelling.pairs)
