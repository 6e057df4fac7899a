"""FlowJAX's masked autoregressive and coupling flows as nfnumpy models."""
import math

import nfnumpy as nf

from .relabelling import Backwards, Softplus, autoregressive, fill, model_of, pairs, widths

CHAIN = ".bijection.bijection.bijection.bijections"              # of the flow, inside Invert, Scan and Chain

# scale = softplus(r + start) + 0.01, with start such that the scale is 1 where the network gives 0
SCALE = Backwards(Softplus(start=math.log(math.expm1(1 - 1e-2)), least=1e-2))


class FlowjaxAutoregressive(nf.GaussianAutoregressive):
    """`MaskedAutoregressive` with the default transformer and ``invert=True``: z = scale x + shift."""

    transformer = SCALE


class FlowjaxCoupling(nf.Coupling):
    """`Coupling` with the default transformer and ``invert=True``: z = scale x + shift."""

    transformer = SCALE


def maf(arrays):
    """``masked_autoregressive_flow``; at least three coordinates, since two are flipped, not permuted."""
    return _stack(arrays, "masked_autoregressive_mlp", lambda network, dim:
                  autoregressive(FlowjaxAutoregressive, network, pairs))


def realnvp(arrays):
    """``coupling_flow``: the first half conditions, a random permutation follows; at least three coordinates."""
    def layer(network, dim):
        flow = FlowjaxCoupling(dim, widths(network), rng=0)
        fill(flow.net, network, pairs)
        return flow

    return _stack(arrays, "conditioner", layer)


def _stack(arrays, net, layer):
    """Layer, permutation, layer, permutation, ...: the parameters of all layers are stacked along a first axis."""
    flows, permutations = [], arrays[f"{CHAIN}[1].permutation[0]"]
    for k, perm in enumerate(permutations):
        network = [tuple(array[k] for array in parts) for parts in _network(arrays, f"{CHAIN}[0].{net}.layers")]
        flows += [layer(network, len(perm)), nf.Permutation(perm)]
    return model_of(flows)


def _network(arrays, prefix):
    """Stacked layers ``(W, b)``, or ``(W, b, mask)``: a masked weight is stored as ``where(args[0], args[1], 0)``."""
    depth = sum(name.startswith(prefix) and name.endswith(".bias") for name in arrays)
    for name in (f"{prefix}[{j}]" for j in range(depth)):
        b = arrays[f"{name}.bias"]
        if f"{name}.weight" in arrays:
            yield arrays[f"{name}.weight"], b
        else:
            yield arrays[f"{name}.weight.args[1]"], b, arrays[f"{name}.weight.args[0]"].astype(float)
