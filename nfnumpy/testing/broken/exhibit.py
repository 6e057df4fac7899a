"""How a broken flow is put on show: beside the correct one, with the check that must catch it and what it then says."""
import copy
import inspect
from typing import Any, NamedTuple

import numpy as np

import nfnumpy.testing as checks
from nfnumpy.arrays import as_rng

HALL = {}                                                        # name: (layer, builder), in the order of the slides


class Exhibit(NamedTuple):
    """A broken flow, the correct one with the same parameters, and the check that tells them apart."""

    layer: str
    broken: Any             # a flow; where the check wants it, a model or a function
    correct: Any
    check: str              # name of the check in `nfnumpy.testing`
    arguments: tuple        # what the check takes after the flow: a valid batch, for most
    says: str               # part of its message
    story: str              # what is wrong, and who had it

    def message(self):
        """What the check says of the broken flow, or None if it passes."""
        try:
            getattr(checks, self.check)(self.broken, *copy.deepcopy(self.arguments))
        except AssertionError as error:
            return str(error)
        return None


def exhibit(layer, correct, check, says, arguments=None, broken=None, moved=True):
    """Put the decorated class into the hall.

    Parameters
    ----------
    layer : str
        The layer of the lecture to which the bug belongs.
    correct : function
        ``correct(rng)`` builds the correct flow.
    check, says : str
        See `Exhibit`.
    arguments : function, optional
        ``arguments(correct, rng)`` gives what the check takes after the flow; default: five standard-normal rows.
    broken : function, optional
        ``broken(correct)`` builds the broken flow; default: the same object as one of the decorated class.
    moved : bool
        Whether `randomize` moves the correct flow's parameters from where `correct` puts them.
    """
    def register(cls):
        def build(rng):
            right = checks.randomize(correct(rng), rng) if moved else correct(rng)
            given = (rows(right, rng),) if arguments is None else arguments(right, rng)
            return Exhibit(layer, (broken or (lambda flow: twin(flow, cls)))(right), right, check, given, says,
                           inspect.getdoc(cls))

        HALL[cls.__name__] = layer, build
        return cls

    return register


def rows(flow, rng, n=5):
    """A standard-normal batch."""
    return rng.standard_normal((n, *flow.x_shape))


def twin(correct, cls):
    """The same flow, parameters and constants and all, as an object of the broken class.

    >>> import nfnumpy as nf
    >>> class Broken(nf.Permutation):
    ...     pass
    >>> twin(nf.Permutation([1, 0]), Broken)
    Broken(perm=array([1, 0]))
    """
    broken = copy.deepcopy(correct)
    broken.__class__ = cls
    return broken


def hall(rng=None):
    """The hall of broken flows: ``{name: Exhibit}``, built with random parameters.

    Examples
    --------
    >>> exhibit = hall(rng=0)["OncePerImage"]
    >>> exhibit.layer, exhibit.check
    ('1x1 convolution', 'check_log_det')
    >>> exhibit.says, exhibit.says in exhibit.message()
    ('that is 1 / (height * width); does every pixel count?', True)
    """
    seeds = as_rng(rng).integers(2 ** 32, size=len(HALL))        # an exhibit does not change when another one is added
    return {name: build(np.random.default_rng(seed)) for (name, (_, build)), seed in zip(HALL.items(), seeds)}
