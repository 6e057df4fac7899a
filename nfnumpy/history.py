"""What a training says about itself: the learning curve that `fit` returns, and the state that its callbacks get."""
import dataclasses
import math

import numpy as np


@dataclasses.dataclass
class History:
    """What `fit` did: the learning curve, and where and why it stopped.

    Attributes
    ----------
    step : list of int
        Optimisation steps done at each evaluation.
    train, valid : list of float
        Negative log-likelihood in nats: the mean over the minibatches since the last evaluation (measured while theta
        was moving), and over the held-out rows.
    lr, elapsed : list of float
        The learning rate of the step before each evaluation, 0 before the first step, and the seconds up to it.
    best_step : int
        The step whose theta the model has now: the one with the lowest held-out value. 0 is the initial theta.
    best_valid : float
        That lowest value.
    clipped : int
        Steps whose gradient was shortened.
    stopped : str
        "all steps done", "no improvement", "stopped by a callback", "interrupted", or, by an exception, "failed".
    seconds : float
        Wall-clock time of the training, that of earlier runs with the same checkpoint included.
    """

    step: list = dataclasses.field(default_factory=list)
    train: list = dataclasses.field(default_factory=list)
    valid: list = dataclasses.field(default_factory=list)
    lr: list = dataclasses.field(default_factory=list)
    elapsed: list = dataclasses.field(default_factory=list)
    best_step: int = 0
    best_valid: float = math.inf
    clipped: int = 0
    stopped: str = "all steps done"
    seconds: float = 0.0

    def since_best(self):
        """Evaluations since the best one.

        >>> History(step=[0, 10, 20], best_step=10).since_best()
        1
        """
        return len(self.step) - 1 - self.step.index(self.best_step)


@dataclasses.dataclass
class TrainingState:
    """Where a training stands: what `fit` calls its callbacks with. One object, brought up to date before each call.

    Attributes
    ----------
    model : the model that is fitted
        With the theta of this moment; in a callback's `end`, with the best theta, which it keeps.
    history : History
        So far. Its last evaluation is that of this moment if `evaluated`, else an earlier one.
    x, x_valid : arrays
        The rows that are trained on and those that are held out, as they were handed in: grey values without noise.
    max_steps : int
    context, context_valid : arrays, or None
        Of a conditional model: what each row of x and of x_valid is given. `model` itself is bound to none of them.
    step : int
        Optimisation steps done; 0 in the first call, before training.
    lr : float
        Learning rate of the last step; 0 before the first.
    seconds : float
        Wall-clock time up to now.
    evaluated : bool
        Whether the held-out rows were evaluated after this step.
    best_theta : array ``(n_params,)``
        That of the best evaluation so far, read-only: to look at the model with it, copy the model and assign.
    """

    model: object = dataclasses.field(repr=False)
    history: History = dataclasses.field(repr=False)
    x: np.ndarray = dataclasses.field(repr=False)
    x_valid: np.ndarray = dataclasses.field(repr=False)
    max_steps: int
    context: object = dataclasses.field(default=None, repr=False)
    context_valid: object = dataclasses.field(default=None, repr=False)
    step: int = 0
    lr: float = 0.0
    seconds: float = 0.0
    evaluated: bool = False
    best_theta: object = dataclasses.field(default=None, repr=False)

    def at(self, step, lr, best_theta, seconds, evaluated=True):
        """Bring the state up to date; `best_theta` is looked at, not copied, and read-only."""
        self.step, self.lr, self.seconds, self.evaluated = step, lr, seconds, evaluated
        self.best_theta = best_theta.view()
        self.best_theta.flags.writeable = False


def unit_of(model):
    """``name, nats in one``: a model of whole grey values counts in bits per dimension, every other in nats.

    >>> import nfnumpy as nf
    >>> unit_of(nf.maf(dim=2, rng=0))
    ('nats', 1.0)
    """
    if hasattr(model, "grey_levels"):
        return "bits/dim", math.prod(model.x_shape) * math.log(2)
    return "nats", 1.0
