"""A flow behind the methods that scikit-learn's density estimators have, without scikit-learn."""
import inspect
import types

import numpy as np

from nfnumpy.arrays import as_array, as_batch, as_count, as_rng
from nfnumpy.builders import iaf, maf, realnvp
from nfnumpy.training import fit

FLOWS = {"maf": maf, "realnvp": realnvp, "iaf": iaf}


class NotFittedError(ValueError, AttributeError):
    """An estimator was asked before it was fitted; by convention both a ValueError and an AttributeError."""


class FlowDensity:
    """A density learnt from the rows of X, with the methods of scikit-learn's KernelDensity and GaussianMixture.

    ``fit`` builds a flow behind a `Standardize` of X's columns and trains it with `nfnumpy.fit`; all answers are in the
    units of X, log-densities in nats. The estimator works inside scikit-learn's Pipeline, GridSearchCV, cross_val_score
    and clone, and needs none of it.

    Parameters
    ----------
    flow : {"maf", "realnvp", "iaf"}
        The builder. An iaf is fast to sample and slow to fit.
    steps, hidden, activation, transformer, dtype
        See `nfnumpy.maf`. dtype is that of the arithmetic.
    max_steps, batch_size, lr, weight_decay, patience, valid_fraction
        See `nfnumpy.fit`: a share `valid_fraction` of X is held out to decide when to stop.
    verbose : bool
        Show a progress line on stderr.
    random_state : None, int or Generator
        For the initial weights, the held-out rows and the minibatches. With an int, a fit can be repeated.

    Arguments are stored as they are, and checked by ``fit``.

    Attributes
    ----------
    model_ : NormalizingFlow
        In the units of X: ``model_.log_prob``, ``nf.save(estimator.model_, path)``.
    history_ : History
        The learning curve, and why the training stopped.
    n_features_in_ : int
        m, the number of columns.
    feature_names_in_ : array of str ``(m,)``
        Only where X had ``columns`` with text names, as data frames have.

    Notes
    -----
    `score` is the mean log-density of a row, as GaussianMixture's is; KernelDensity's is the sum over the rows. Means
    can be compared between folds of different sizes. `sample` returns the rows alone, as KernelDensity's does.

    Inside a pipeline the units are those that the step before gives: behind a StandardScaler, say, log-densities are
    larger by the sum of the logarithms of its scales.

    Ctrl-C ends the training and keeps the best theta so far, see `nfnumpy.fit`; a grid search goes on to its next fit.

    References
    ----------
    Buitinck et al.: API design for machine learning software: experiences from the scikit-learn project, 2013.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> X, X_test = nf.datasets.load("moons", n=1000, rng=0)
    >>> density = FlowDensity(flow="realnvp", steps=4, hidden=(16,), max_steps=100, lr=0.01, random_state=0).fit(X)
    >>> density.score_samples(X_test[:5]).shape, density.sample(3, random_state=0).shape
    ((5,), (3, 2))
    >>> bool(density.score(X_test) > nf.Gaussian.fit(X).log_prob(X_test).mean())
    True
    >>> density
    FlowDensity(flow='realnvp', steps=4, hidden=(16,), max_steps=100, lr=0.01, random_state=0)
    """

    def __init__(self, flow="maf", steps=5, hidden=(64, 64), activation="tanh", transformer="affine", dtype="float64",
                 max_steps=3000, batch_size=256, lr=1e-3, weight_decay=1.0, patience=20, valid_fraction=0.1,
                 verbose=False, random_state=None):
        self.flow = flow
        self.steps = steps
        self.hidden = hidden
        self.activation = activation
        self.transformer = transformer
        self.dtype = dtype
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.patience = patience
        self.valid_fraction = valid_fraction
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn the density of the rows of X ``(n, m)``, anew at each call; y is ignored. Returns the estimator.

        Raises ValueError for constructor arguments or rows that make no sense, and then stays what it was.
        """
        names, rng = _names(X), _as_generator(self.random_state)
        if not isinstance(self.flow, str) or self.flow not in FLOWS:
            raise ValueError(f"flow: expected one of {', '.join(FLOWS)}, got {self.flow!r}")
        X = as_array(X, "X")
        X = as_batch(X, X.shape[1:] if X.ndim == 2 else ("m",), np.float64, "X", finite=True, real=True)
        constant = np.flatnonzero((X == X[:1]).all(axis=0))
        if constant.size:
            first = constant[0] if names is None else repr(names[constant[0]])
            raise ValueError(f"X: expected at least two rows and columns that vary, got {len(X)} rows and "
                             f"{constant.size} constant columns, the first of them {first}")
        build = FLOWS[self.flow]
        model = build(X.shape[1], self.steps, self.hidden, self.activation, rng, self.dtype, self.transformer)
        model = model.standardized(X)
        history = fit(model, X, rng=rng, valid_fraction=self.valid_fraction, max_steps=self.max_steps,
                      batch_size=self.batch_size, lr=self.lr, weight_decay=self.weight_decay, patience=self.patience,
                      progress=bool(self.verbose))
        self.model_, self.history_, self.n_features_in_ = model, history, X.shape[1]
        vars(self).pop("feature_names_in_", None)                # of an earlier fit
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
            model.info["columns"] = names
        return self

    def score_samples(self, X):
        """log p(x) of each row of X, ``(n,)``, in nats, in the units of X.

        Where fit and X both have column names, X's must be the same in the same order, or a ValueError.
        """
        model, names = self._fitted("score_samples"), _names(X)
        if names is not None and hasattr(self, "feature_names_in_") and names != list(self.feature_names_in_):
            raise ValueError(f"X: expected the columns {list(self.feature_names_in_)} that fit saw, in this order, got "
                             f"{names}")
        X = as_batch(X, (self.n_features_in_,), model.flow.dtype, "X", finite=True, real=True)
        return model.log_prob(X)

    def score(self, X, y=None):
        """The mean of `score_samples`, in nats a row: larger is better. y is ignored."""
        log_p = self.score_samples(X)
        if not len(log_p):
            raise ValueError("X: expected at least one row, got none")
        return float(log_p.mean())

    def sample(self, n_samples=1, random_state=None):
        """n_samples new rows ``(n_samples, m)`` in the units of X; without `random_state` new ones at each call."""
        model, rng = self._fitted("sample"), _as_generator(random_state)
        return model.sample(as_count(n_samples, "n_samples"), rng)

    def get_params(self, deep=True):
        """The constructor's arguments by name. None of them is an estimator, so that `deep` changes nothing."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params):
        """Change constructor arguments; what was fitted stays until the next `fit`. Returns the estimator.

        Raises ValueError for an unknown name, before anything is changed.
        """
        known = self._defaults()
        for name in params:
            if name not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    @classmethod
    def _defaults(cls):
        return {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}

    def _fitted(self, method):
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"{method}: expected a fitted {type(self).__name__}, got one without a model; "
                                 "call fit first")
        return self.model_

    def __sklearn_is_fitted__(self):
        return hasattr(self, "model_")

    def __sklearn_tags__(self):
        """What scikit-learn from 1.6 on asks before it calls: a density, of two-dimensional real X, without y."""
        no = dict.fromkeys(("one_d_array", "three_d_array", "sparse", "categorical", "string", "dict", "positive_only",
                            "allow_nan", "pairwise"), False)
        target = dict.fromkeys(("required", "one_d_labels", "two_d_labels", "positive_only", "multi_output"), False)
        return types.SimpleNamespace(
            estimator_type="density_estimator", input_tags=types.SimpleNamespace(two_d_array=True, **no),
            target_tags=types.SimpleNamespace(single_output=True, **target), transformer_tags=None,
            classifier_tags=None, regressor_tags=None, array_api_support=False, no_validation=False,
            non_deterministic=False, requires_fit=True, _skip_test=False)

    def __repr__(self):
        changed = [f"{name}={getattr(self, name)!r}" for name, default in self._defaults().items()
                   if repr(getattr(self, name)) != repr(default)]
        return f"{type(self).__name__}({', '.join(changed)})"


def _as_generator(random_state):
    try:
        return as_rng(random_state)
    except ValueError as error:
        raise ValueError(str(error).replace("rng", "random_state", 1)) from None


def _names(X):
    """The names of X's columns, where it has some and all are text; else None."""
    names = getattr(X, "columns", None)
    names = None if names is None else list(names)
    return names if names and all(isinstance(name, str) for name in names) else None
