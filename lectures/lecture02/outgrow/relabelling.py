"""What the four mappings share: the recorded files, transformers with other scales, and where a parameter stands.

A mapping takes a library's parameters under the library's own names, ``{name: array}``, and returns the nfnumpy model
of the same density, theta filled. Two things differ from library to library: how one coordinate is scaled, which a
transformer says, and where each number stands, which is a reordering. A reordering is linear, so that the same
function takes the library's *gradient* to ours.
"""
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.flows.transformers import Affine

HERE = Path(__file__).resolve().parent


def read(name):
    """The file ``NAME.npz``: its arrays as attributes; `weights` and `gradients` as dictionaries, lists as lists.

    >>> record = read("zuko_maf")
    >>> record.x.shape, record.log_prob.shape, record.weights["transform.transforms.0.hyper.0.weight"].shape
    ((16, 5), (16,), (8, 5))
    """
    record = {"weights": {}, "gradients": {}}
    with np.load(HERE / f"{name}.npz", allow_pickle=False) as arrays:
        for key in arrays:
            group, _, rest = key.partition("/")
            if rest:
                record[group][rest] = arrays[key]
            elif re.fullmatch(r"\w+\.\d+", key):
                record.setdefault(key.partition(".")[0], []).append(arrays[key])
            else:
                record[key] = arrays[key]
    return SimpleNamespace(**record)


class Backwards(nf.Transformer):
    """z = scale x + shift: an affine transformer whose parameters belong to the normalizing direction.

    It is x = sigma z + mu read from the other side, so that each direction is the other one of the inner transformer,
    formula and adjoint alike::

        z = scale x + shift     is      x = sigma z + mu    with    sigma = 1 / scale,      mu = -shift / scale
    """

    n_params = 2

    def __init__(self, affine):
        self.affine = affine
        self.forward_vjp, self.inverse_vjp = affine.inverse_vjp, affine.forward_vjp

    def mu_and_log_sigma(self, params):
        """What the parameters mean on the slides."""
        shift, log_scale = self.affine.mu_and_log_sigma(params)
        return -shift * np.exp(-log_scale), -log_scale


class Softplus(Affine):
    """sigma = softplus(r + start) + least."""

    def __init__(self, start, least):
        self.start, self.least = start, least

    def mu_and_log_sigma(self, params):
        return params[..., 0], np.log(softplus(params[..., 1] + self.start) + self.least)

    def _bound_slope(self, log_sigma):                           # softplus' = sigmoid = 1 - exp(-softplus)
        sigma = np.exp(log_sigma)
        return -np.expm1(self.least - sigma) / sigma


class Sigmoid(Affine):
    """sigma = sigmoid(r + 2) + least: at most 1 + least, however large r is."""

    def __init__(self, least):
        self.least = least

    def mu_and_log_sigma(self, params):
        return params[..., 0], np.log(np.exp(-softplus(-2 - params[..., 1])) + self.least)

    def _bound_slope(self, log_sigma):                           # sigmoid' = sigmoid (1 - sigmoid)
        sigma = np.exp(log_sigma)
        sigmoid = sigma - self.least
        return sigmoid * (1 - sigmoid) / sigma


def softplus(r):
    """log(1 + exp(r)) without overflow.

    >>> softplus(np.array([-1000.0, 0.0, 1000.0])) - [0, np.log(2), 1000]
    array([0., 0., 0.])
    """
    return r * (r.real > 0) + np.log1p(np.exp(-r * np.sign(r.real)))


def blocks(size):
    """A network's output in our order: all shifts, then all raw scales. A layout maps a library's order to this one.

    >>> blocks(3)
    array([0, 1, 2, 3, 4, 5])
    """
    return np.arange(2 * size)


def pairs(size):
    """Shift and raw scale of one coordinate after another.

    >>> pairs(3)
    array([0, 2, 4, 1, 3, 5])
    """
    return np.arange(2 * size).reshape(size, 2).T.ravel()


def scale_first(size):
    """Raw scale and shift of one coordinate after another.

    >>> scale_first(3)
    array([1, 3, 5, 0, 2, 4])
    """
    return np.arange(2 * size).reshape(size, 2)[:, ::-1].T.ravel()


def steps(arrays, prefix):
    """The arrays of ``prefix.0``, ``prefix.1``, ..., each as a dictionary of its own.

    >>> steps({"f.0.s": 1, "f.0.t": 2, "f.2.s": 3, "g": 4}, "f")
    [{'s': 1, 't': 2}, {'s': 3}]
    """
    found = {}
    for name, array in arrays.items():
        match = re.match(re.escape(prefix) + r"\.(\d+)\.(.+)", name)
        if match:
            found.setdefault(int(match[1]), {})[match[2]] = array
    return [found[k] for k in sorted(found)]


def layers(arrays):
    """A network's layers ``(W, b)`` or ``(W, b, mask)``, in the order of a PyTorch state, which is that of use."""
    names, parts = [name[:-len("weight")] for name in arrays if name.endswith("weight")], ("weight", "bias", "mask")
    return [tuple(arrays[name + part] for part in parts if name + part in arrays) for name in names]


def widths(network):
    """Hidden widths of ``[(W, b, ...), ...]``."""
    return tuple(len(b) for _, b, *_ in network[:-1])


def units_by_degree(network):
    """For each hidden layer of a masked network, its units in the order in which ours stand: by ascending degree.

    A unit that sees d inputs has degree d.
    """
    seen, units = np.eye(network[0][0].shape[1]), []
    for _, _, mask in network[:-1]:
        seen = mask @ seen > 0                                   # which inputs each unit sees
        units.append(np.argsort(seen.sum(axis=1), kind="stable"))
    return units


def fill(net, network, layout):
    """Copy the layers of `network` into `net`, an MLP or a MADE: a unit's row moves, and the column that leaves it."""
    outputs = layout(len(network[-1][1]) // 2)
    masked = len(network[0]) == 3
    orders = [*(units_by_degree(network) if masked else map(np.arange, widths(network))), outputs]
    below = np.arange(net.sizes[0])
    for k, ((W, b, *mask), above) in enumerate(zip(network, orders)):
        if masked and (mask[0][above][:, below] != getattr(net, f"mask{k}")).any():
            raise ValueError(f"network: expected as many units of each degree as ours, got others in layer {k}; with "
                             f"{net.dim} coordinates, hidden widths that are multiples of {net.dim - 1} agree")
        setattr(net, f"W{k}", W[above][:, below])
        setattr(net, f"b{k}", b[above])
        below = above


def autoregressive(cls, network, layout, order=None):
    """A masked autoregressive layer of class `cls` with the weights of `network`."""
    layer = cls(network[0][0].shape[1], widths(network), order=order, rng=0)
    fill(layer.net, network, layout)
    return layer


def couplings(cls, networks, conditioning, layout):
    """Coupling layers whose conditioning coordinates, ``conditioning[k]`` in layer k, alternate between two sets.

    Ours alternate between halves, the smaller one in front: a permutation before the first layer, undone after the
    last one.
    """
    first, second = sorted(conditioning[:2], key=len)
    order = np.concatenate([first, second])
    flows = [nf.Permutation(order)]
    for network, indices in zip(networks, conditioning):
        flows.append(cls(len(order), widths(network), swap=np.array_equal(indices, second), rng=0))
        fill(flows[-1].net, network, layout)
    return model_of([*flows, nf.Permutation(np.argsort(order))])


def model_of(flows):
    """The flows one after another, with a standard normal base."""
    return nf.NormalizingFlow(nf.Composition(flows))
