"""Transformers by name, as the builders take them."""
from nfnumpy.flows.mixture import MixtureOfLogistics
from nfnumpy.flows.spline import RationalQuadratic
from nfnumpy.flows.transformers import Additive, Affine, Transformer

TRANSFORMERS = {"affine": Affine, "additive": Additive, "spline": RationalQuadratic,
                "mixture": MixtureOfLogistics}


def as_transformer(transformer):
    """A transformer from its name, with default arguments, or itself; anything else is a ValueError.

    >>> as_transformer("spline"), as_transformer(RationalQuadratic(bins=4))
    (RationalQuadratic(bins=8, bound=4.0), RationalQuadratic(bins=4, bound=4.0))
    """
    if isinstance(transformer, Transformer):
        return transformer
    if not isinstance(transformer, str) or transformer not in TRANSFORMERS:
        raise ValueError(f"transformer: expected one of {', '.join(TRANSFORMERS)}, or a Transformer, got {transformer!r}")
    return TRANSFORMERS[transformer]()
