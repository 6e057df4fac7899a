"""The checks themselves: what strangers' flows get, that nothing right is failed, and that each cause has its
sentence.
"""
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.flows import ActNorm, Dense, Diagonal, Logit, Triangular
from nfnumpy.testing import (CHECKS, NotApplicable, check_density, check_dependence, check_dtype, check_extremes,
                             check_flow, check_initialize, check_invertible, check_log_det, check_loss, check_pure,
                             check_samples, check_shapes, check_theta, check_vjp, randomize)
from nfnumpy.testing.causes import cause_of_gradient, cause_of_log_det
from nfnumpy.testing.common import has
from nfnumpy.testing.derivatives import directional_derivative, has_kink, jacobian, richardson, theta_derivative
from nfnumpy.testing.gradients import _check_taylor

X = np.random.default_rng(0).standard_normal((5, 3))


# ---- strangers -------------------------------------------------------------------------------------------------------

class Stranger:
    """z = 2 x, forward and inverse, and nothing else: no theta, no shapes, no vjps."""

    def forward(self, x):
        return 2 * x, np.full(len(x), x[0].size * np.log(2))

    def inverse(self, z):
        return z / 2, np.full(len(z), -z[0].size * np.log(2))


def check_with_skips(flow, x=X):
    with pytest.warns(UserWarning, match="check_flow: skipped") as caught:
        report = check_flow(flow, x)
    assert caught[0].filename == __file__                        # the warning points at the line that called
    return report


def test_forward_and_inverse_alone_get_the_checks_that_apply_and_the_others_are_named():
    report = check_with_skips(Stranger())
    assert report.skipped == {"check_theta": "check_theta: Stranger has no theta",
                              "check_vjp": "check_vjp: Stranger has no forward_vjp and no inverse_vjp"}
    assert report.keys() == CHECKS.keys() - report.skipped.keys()
    for check in (check_theta, check_vjp):
        with pytest.raises(NotApplicable):
            check(Stranger(), X)


def test_a_module_or_a_namespace_is_a_flow_too():
    flow = Stranger()
    assert len(check_with_skips(SimpleNamespace(forward=flow.forward, inverse=flow.inverse))) == 6


def test_a_subclass_of_flow_without_vjps_is_a_stranger_as_well():
    class Halving(nf.Flow):
        def __init__(self):
            super().__init__((3,))

        def forward(self, x):
            return self.as_x(x) / 2, np.full(len(x), -3 * np.log(2), x.dtype)

        def inverse(self, z):
            return self.as_z(z) * 2, np.full(len(z), 3 * np.log(2), z.dtype)

    assert check_with_skips(Halving()).skipped.keys() == {"check_vjp"}
    assert check_with_skips(nf.Composition([Halving(), Halving()])).skipped.keys() == {"check_vjp"}
    assert not has(Halving(), "forward_vjp") and has(nf.Coupling(3), "forward_vjp")


class Abs(Stranger):
    """z = 2 x + abs(x) with a log-determinant through np.abs: a complex step through either gives nonsense."""

    def forward(self, x):
        return 2 * x + np.abs(x), np.log(np.abs(2 + np.sign(x.real))).sum(axis=1)

    def inverse(self, z):
        x = np.where(z.real > 0, z / 3, z)
        return x, -np.log(np.abs(2 + np.sign(x.real))).sum(axis=1)


class Real(Stranger):
    """Refuses complex input."""

    def forward(self, x):
        if np.iscomplexobj(x):
            raise TypeError("real numbers, please")
        return super().forward(x)


class Casts(Stranger):
    """Throws imaginary parts away, with NumPy's warning."""

    def forward(self, x):
        return super().forward(np.asarray(x).astype(float))


@pytest.mark.parametrize("flow", (Abs(), Real(), Casts()), ids=lambda flow: type(flow).__name__)
def test_what_a_complex_step_cannot_differentiate_is_not_failed(flow):
    check_with_skips(flow)


def test_and_it_is_still_failed_where_it_is_wrong():
    class WrongAbs(Abs):
        def forward(self, x):
            z, log_det = super().forward(x)
            return z, log_det + 0.01

    with pytest.raises(AssertionError, match="check_log_det: forward .* off by the same amount, 0.01"):
        check_log_det(WrongAbs(), X)


class SoftAbs(nf.Flow):
    """z = exp(a) (2 x + abs(x)) with hand-written vjps and np.abs inside: complex steps give nonsense, differences do
    not.
    """

    def __init__(self, wrong=1.0):
        super().__init__((3,), parameters={"a": np.zeros(1)})
        self.wrong = wrong

    def forward_vjp(self, x):
        z, slope = np.exp(self.a) * (2 * x + np.abs(x)), np.exp(self.a) * (2 + np.sign(x.real))

        def vjp(grad_z, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            grad["a"][...] = (grad_z * z).sum() + 3 * np.broadcast_to(grad_log_det, len(x)).sum()
            return grad_z * slope * self.wrong, grad_theta

        return (z, np.log(np.abs(slope)).sum(axis=1)), vjp

    def inverse(self, z):
        z = np.exp(-self.a) * z
        x = np.where(z.real > 0, z / 3, z)
        return x, -self.forward(x)[1]


def test_vjps_of_a_flow_with_np_abs():
    check_vjp(SoftAbs(), X)
    with pytest.raises(AssertionError, match="forward_vjp, gradient of its input through output.* 2 times what it "
                                             "must be"):
        check_vjp(SoftAbs(wrong=2.0), X)


@pytest.mark.parametrize("build", (nf.maf, nf.iaf, nf.realnvp))
def test_relu_kinks_are_not_failures(build):
    """At x = 0 with biases 0 every pre-activation of the first layer stands on the kink."""
    flow = build(3, steps=2, hidden=(8,), activation="relu", rng=0).flow
    rng = np.random.default_rng(0)
    for name, array in flow.named().items():
        array[...] = 0 if ".b" in name else rng.standard_normal(array.shape) / 3
    theta = flow.theta.copy()
    check_flow(flow, np.array([[0.0, 0.0, 0.0], [1.0, 0.0, -1.0], [1e-7, 1e-7, 1e-7]]))
    np.testing.assert_array_equal(flow.theta, theta)             # moved off the kink, and put back


def test_a_kink_does_not_excuse_a_wrong_flow():
    class NoLogDet(nf.Coupling):
        def forward(self, x):
            z, log_det = super().forward(x)
            return z, 0 * log_det

    flow = randomize(NoLogDet(3, (8,), "relu", rng=0), 0)
    with pytest.raises(AssertionError, match="check_log_det: .* It is zero, as if the map kept volumes"):
        check_log_det(flow, np.zeros((2, 3)))


def test_what_is_seen_a_step_away_from_a_kink_says_so():
    class WrongGradient(nf.Coupling):
        def forward_vjp(self, x):
            (z, log_det), vjp = super().forward_vjp(x)
            return (z, log_det + 0.1), lambda *pull, out=None: vjp(2 * pull[0], *pull[1:], out=out)

    flow = nf.Coupling(3, (8,), "relu", rng=0)
    for name, array in flow.named().items():
        array[...] = 0 if ".b" in name else np.random.default_rng(0).standard_normal(array.shape)
    flow.__class__ = WrongGradient
    for check in (check_log_det, check_vjp):
        with pytest.raises(AssertionError, match=r"\(There is a kink at x itself: this is a thousandth away .*\)$"):
            check(flow, np.zeros((2, 3)))


def test_a_vjp_without_out_is_a_strangers_and_one_that_ignores_it_is_wrong():
    class WithoutOut(Diagonal):
        def forward_vjp(self, x):
            outputs, vjp = super().forward_vjp(x)
            return outputs, lambda grad_z, grad_log_det: vjp(grad_z, grad_log_det)

    check_flow(WithoutOut(3), X)


def test_float32_without_astype_is_skipped_with_the_reason():
    class Single(Stranger):
        theta = np.zeros(0, np.float32)

        def forward(self, x):
            return 2 * x, np.full(len(x), 3 * np.log(2), np.float32)

        def inverse(self, z):
            return z / 2, np.full(len(z), -3 * np.log(2), np.float32)

    report = check_with_skips(Single(), X.astype(np.float32))
    assert report.skipped["check_log_det"].endswith("Single has parameters of float32 and no astype")


class Empty(nf.Flow):
    """Neither direction."""

    def __init__(self):
        super().__init__((3,))


@pytest.mark.parametrize("flow, says", (
    (nf.maf(3), r"expected a flow, got a NormalizingFlow; check model.flow, or check_density\(model, ...\)$"),
    (nf.glow((2, 2, 1), 1, 1, 3, grey_levels=2), "got a GreyImageFlow; check model.flow$"),
    (nf.AutoregressiveMLP(2, 2), r"got an AutoregressiveMLP; check_samples\(model, ...\)$"),
    (SimpleNamespace(log_prob=len), r"got a SimpleNamespace; check_density\(model, ...\)$"),
    (Stranger, "expected a flow, got the class Stranger; call it first$"),
    (SimpleNamespace(forward=len), "with forward and inverse, got a SimpleNamespace without inverse$"),
    (3, "got an int without forward and inverse$"),
    (Empty(), "or their vjps, got an Empty, which implements none of them$"),
    (nf.Composition([Empty()]), "got a Composition: check_shapes: Empty does not implement forward_vjp; "),
))
def test_what_is_no_flow_does_not_pass(flow, says):
    with pytest.raises(TypeError, match=f"^flow: .*{says}"):
        check_flow(flow, X)


def test_each_skip_names_its_check():
    class OneWay(Diagonal):
        inverse, inverse_vjp = nf.Flow.inverse, nf.Flow.inverse_vjp

    report = check_with_skips(OneWay(3))
    assert report.keys() == {"check_theta", "check_vjp"}
    assert report.keys() | report.skipped.keys() == CHECKS.keys()
    assert all(why == f"{name}: OneWay does not implement inverse_vjp" for name, why in report.skipped.items())


@pytest.mark.parametrize("x", (X[0], X[:1], np.zeros((0, 3))))
def test_a_batch_of_fewer_than_two_rows_is_refused(x):
    with pytest.raises(ValueError, match="x: expected a batch of at least two rows, got"):
        check_flow(Stranger(), x)


def test_the_worst_errors_come_back_as_numbers():
    report = check_flow(nf.testing.zoo(rng=0)["maf"][0], X)
    assert list(report) == list(CHECKS) and all(type(error) is float for error in report.values())
    assert 0 < report["check_log_det"] < 1e-9 and report.skipped == {}


# ---- causes ----------------------------------------------------------------------------------------------------------

J = np.array([[[2.0, 1.0], [0.0, 3.0]], [[0.5, 0.0], [2.0, 0.5]], [[1.0, 0.0], [0.0, 8.0]]])
DET = np.log([6.0, 0.25, 8.0])
IMAGE = np.zeros((3, 2, 3, 4))


@pytest.mark.parametrize("got, says", (
    (DET + np.nan, "the logarithm of a negative number"),
    (DET - np.inf, "the logarithm of a product that underflows"),
    (-DET, "The size is right and the sign is wrong"),
    (np.full(3, DET.sum()), "Every row has the sum over the batch"),
    (np.full(3, DET.mean()), "Every row has the mean over the batch"),
    (np.exp(DET), "It is the determinant itself"),
    (np.array([5.0, 1.0, 9.0]), "It is the trace of the Jacobian"),
    (np.log([5.0, 1.0, 9.0]), "It is the logarithm of the Jacobian's trace"),
    (0 * DET, "It is zero, as if the map kept volumes"),
    (DET / 6, "the same factor 0.166667: that is 1 / (height * width); does every pixel count?"),
    (DET * 6, "that is height * width; what was counted more than once?"),
    (DET / 4, "that is 1 / (the number of channels); does every channel count?"),
    (DET * 4, "that is the number of channels"),
    (DET * 0.7, "the same factor 0.7: what was not counted, or counted twice?"),
    (DET + [0, 1, 0], "2 of 3 rows are right: is a case forgotten"),
    (np.full(3, 0.1), "Every row has the same number"),
    (DET + 0.25, "off by the same amount, 0.25: which term is missing"),
    (DET + [0.3, 0.2, 0.1], ""),
))
def test_causes_of_a_wrong_log_det(got, says):
    cause = cause_of_log_det(got, DET, J, IMAGE)
    assert says in cause and bool(says) == bool(cause)


def test_the_negative_determinant_and_its_absolute_value():
    J = np.array([[[-2.0]], [[3.0]]])
    for got, says in (([-2.0, 3.0], "the determinant itself"), ([2.0, 3.0], "the absolute value of the determinant")):
        assert says in cause_of_log_det(np.array(got), np.log([2.0, 3.0]), J, np.zeros((2, 1)))


@pytest.mark.parametrize("got, want, says", (
    ([np.inf, 1.0], [1.0, 1.0], ": it is not finite"),
    ([0.0, 0.0], [1.0, 2.0], ": it is zero, is a path missing?"),
    ([1.0, 2.0], [0.0, 0.0], ": it must be zero here"),
    ([1.0, -2.0], [-1.0, 2.0], ": the size is right and the sign is wrong"),
    ([0.2, 0.4], [1.0, 2.0], ": it is 1/5 of what it must be, a mean over the batch"),
    ([3.0, 6.0], [1.0, 2.0], ": it is 3 times what it must be"),
    ([3.0, 5.0], [1.0, 2.0], ""),
    ([3.0], [1.0], ""),
))
def test_causes_of_a_wrong_gradient(got, want, says):
    cause = cause_of_gradient(np.array(got), np.array(want), 5)
    assert cause.startswith(says) and bool(says) == bool(cause)
    assert "log_det" in cause_of_gradient(np.zeros(2), np.ones(2), 5, through_log_det=True)


class Result(Stranger):
    """A flow whose forward gives what it is told, to look at sentences."""

    def __init__(self, z=lambda z: z, log_det=lambda log_det: log_det):
        self.z, self.log_det = z, log_det

    def forward(self, x):
        z, log_det = super().forward(x)
        return self.z(z), self.log_det(log_det)


@pytest.mark.parametrize("flow, says", (
    (Result(log_det=lambda d: d[:, None]), r"got \(5, 1\): one column too many, which silently broadcasts against "
                                           r"\(5,\) to \(5, 5\)"),
    (Result(log_det=lambda d: d.sum()), r"got \(\): one number for the whole batch"),
    (Result(log_det=lambda d: d[:3]), r"got \(3,\): was it summed over the batch axis"),
    (Result(z=lambda z: z.T), r"expected an output of shape \(5, 3\), got \(3, 5\): the right axes in the wrong order"),
    (Result(z=lambda z: z[:, :2]), r"expected an output of shape \(5, 3\), got \(5, 2\)$"),
))
def test_causes_of_a_wrong_shape(flow, says):
    with pytest.raises(AssertionError, match=says):
        check_shapes(flow, X)


@pytest.mark.parametrize("n", (2, 5))                            # an array of two rows unpacks into two parts
@pytest.mark.parametrize("method, broken, says", (
    ("forward", lambda x: 2 * x, r"forward: expected \(z, log_det\), got one array of shape \({}, 3\)"),
    ("inverse", lambda z: z / 2, r"inverse: expected \(x, log_det\), got one array of shape \({}, 3\)"),
    ("forward", lambda x: None, r"forward: expected \(z, log_det\), got None"),
    ("forward_vjp", lambda x: 2 * x, r"forward_vjp: expected \(\(z, log_det\), vjp\), got one array of shape "
                                     r"\({}, 3\)"),
    ("forward_vjp", lambda x: (x, x[:, 0]), r"forward_vjp: expected \(\(z, log_det\), vjp\), got \(array of shape "
                                            r"\({0}, 3\), array of shape \({0},\)\)"),
    ("forward_vjp", lambda x: ((x, x[:, 0]), None), r"forward_vjp: expected \(\(z, log_det\), vjp\), got \(\(array "
                                                    r"of shape \({0}, 3\), array of shape \({0},\)\), None\)"),
    ("inverse_vjp", lambda z: (z, z[:, 0], len), r"inverse_vjp: expected \(\(x, log_det\), vjp\), got \(array of shape "
                                                 r"\({0}, 3\), array of shape \({0},\), a function\)"),
    ("inverse_vjp", lambda z: (z, lambda *pull: pull), r"inverse_vjp: expected \(\(x, log_det\), vjp\), got \(array of "
                                                       r"shape \({0}, 3\), a function\)"),
    ("forward_vjp", lambda x: ((x, x[:, 0]), lambda a, b: a), r"forward_vjp's vjp: expected \(grad_x, grad_theta\), "
                                                              r"got one array of shape \({}, 3\)"),
    ("inverse_vjp", lambda z: ((z, z[:, 0]), lambda a, b: a), r"inverse_vjp's vjp: expected \(grad_z, grad_theta\), "
                                                              r"got one array of shape \({}, 3\)"),
))
def test_what_is_no_pair_is_said_in_one_sentence(n, method, broken, says):
    flow = Diagonal(3)
    object.__setattr__(flow, method, broken)
    with pytest.raises(AssertionError, match=f"^check_shapes: {says.format(n)}$"):
        check_flow(flow, X[:n])


def test_a_log_det_of_the_wrong_shape_does_not_confuse_the_jacobians():
    with pytest.raises(AssertionError, match=r"expected a log_det of shape \(5,\), got \(5, 1\): see check_shapes"):
        check_log_det(Result(log_det=lambda d: d[:, None]), X)


class Back(Stranger):
    """A flow with another inverse."""

    def __init__(self, x):
        self.x = x

    def inverse(self, z):
        x, log_det = super().inverse(z)
        return self.x(x), log_det


@pytest.mark.parametrize("x, says", (
    (lambda x: x * [1, 1, 0], "The others come back, coordinate 2 not"),
    (lambda x: x + np.inf, "It is not finite"),
    (lambda x: x * (1 + 1e-7), "is an iteration stopped too early"),
    (lambda x: x + 1, r"inverse\(forward\(.\)\) at row \d: expected \[.*\], got \[.*\]$"),
))
def test_causes_of_a_failed_round_trip(x, says):
    with pytest.raises(AssertionError, match=says):
        check_invertible(Back(x), X)


def test_the_parameters_of_a_small_flow_are_in_the_message():
    class Wrong(Diagonal):
        log_abs_det = property(lambda self: 2 * self.log_diagonal.sum())

    with pytest.raises(AssertionError, match=r"factor 2: .* At theta: log_diagonal = \[0.5, 1. \], b = \[0., 0.\].$"):
        check_log_det(Wrong(2, W=np.diag(np.exp([0.5, 1.0]))), X[:, :2])


# ---- contract --------------------------------------------------------------------------------------------------------

def test_theta_that_is_a_copy_or_not_flat_is_named():
    class Copied(Stranger):
        theta = property(lambda self: np.zeros(3))

    class Square(Stranger):
        theta = np.zeros((2, 2))

    for flow, says in ((Copied(), "got a fresh copy"), (Square(), r"expected theta to be a flat vector, got ndarray "
                                                                  r"of shape \(2, 2\)")):
        with pytest.raises(AssertionError, match=says):
            check_theta(flow, X)


def test_impurities():
    class Random(Stranger):
        def forward(self, x):
            return super().forward(x)[0] + np.random.default_rng().standard_normal(), super().forward(x)[1]

    class View(Stranger):
        def forward(self, x):
            return x[:], np.zeros(len(x))

    for flow, says in ((Random(), "or drawn at random"), (View(), "expected results in memory of their own")):
        with pytest.raises(AssertionError, match=f"check_pure: forward: .*{says}"):
            check_pure(flow, X)


def test_an_integer_dtype_is_named_without_a_hint():
    with pytest.raises(AssertionError, match="expected a log_det of theta's dtype float64, got int64$"):
        check_dtype(Result(log_det=lambda d: d.astype(np.int64)), X)


def test_a_scalar_grad_log_det_stands_for_all_samples():
    class NoScalar(Diagonal):
        def forward_vjp(self, x):
            outputs, vjp = super().forward_vjp(x)
            return outputs, lambda grad_z, grad_log_det, out=None: vjp(
                grad_z, grad_log_det if np.ndim(grad_log_det) else grad_log_det / len(x), out)

    with pytest.raises(AssertionError, match="same gradient of theta for grad_log_det = 1.0 and for 5 ones"):
        check_vjp(NoScalar(3), X)


def test_the_taylor_remainder_alone_finds_a_wrong_gradient():
    flow = randomize(nf.Coupling(3, (4,), "tanh", rng=0), 0)
    (out, log_det), vjp = flow.forward_vjp(X)
    pull = np.ones_like(out), np.ones_like(log_det)
    v, w = np.ones_like(X), np.ones_like(flow.theta)
    _check_taylor(flow, "forward", X, v, w, pull, vjp)
    for wrong in (lambda *pull: (vjp(*pull)[0] * 1.5, vjp(*pull)[1]), lambda *pull: (vjp(*pull)[0], 0 * vjp(*pull)[1])):
        with pytest.raises(AssertionError, match="order 2 as the step is halved, got orders .*: order 1 means a wrong "
                                                 "gradient"):
            _check_taylor(flow, "forward", X, v, w, pull, wrong)


def test_directions_that_are_wrong_in_one_array_are_named_with_the_entry():
    class OneEntry(Dense):
        def multiply(self, x):
            outputs, right = super().multiply(x)

            def vjp(grad_y, grad_log_abs_det, grad):
                grad_x = right(grad_y, grad_log_abs_det, grad)
                grad["W"][2, 1] += 0.5
                return grad_x

            return outputs, vjp

    with pytest.raises(AssertionError, match=r"The gradient is wrong for W, worst at W\[2, 1\]: expected (\S+), got "
                                             r"(\S+)\.") as caught:
        check_vjp(OneEntry(3, rng=0), X)
    expected, got = (float(word) for word in
                     str(caught.value).split("expected ")[-1].rstrip(".").split(", got "))
    assert got - expected == pytest.approx(0.5, abs=1e-4)


# ---- dependence, claims ----------------------------------------------------------------------------------------------

def test_dependence_names_the_leak_and_the_cut():
    flow = Triangular(3, W=[[1.0, 0, 0], [2, 1, 0], [0, 3, 1]])
    lower = np.tri(3, dtype=bool)
    with pytest.raises(AssertionError, match=r"entry \(2, 0\) is 0 in all 32 rows but must not be: output 2 is cut "
                                             r"off from input 0: which mask"):
        check_dependence(flow, lower)
    assert check_dependence(flow, lower & (flow.W != 0)) == 0
    assert check_dependence(flow, np.eye(3), may=lower) == 0
    with pytest.raises(AssertionError, match=r"Jacobian entry \(2, 1\) is 3 but must be 0: output 2 sees input 1$"):
        check_dependence(flow, np.eye(3))
    with pytest.raises(AssertionError, match=r"output 0 is cut off from input 1, as 2 more pairs are"):
        check_dependence(Diagonal(3), lower.T)
    with pytest.raises(AssertionError, match="Nothing depends on anything else: is the conditioner connected"):
        check_dependence(Diagonal(3), lower)
    with pytest.raises(ValueError, match=r"pattern: expected shape \(3, 3\), \(outputs, inputs\), got \(2, 3\)"):
        check_dependence(flow, np.ones((2, 3)))


def test_dependence_of_a_function():
    net = randomize(nf.MADE([1, 2, 3], (8,), 1, "tanh", rng=0), 0)
    strictly = np.tri(3, k=-1, dtype=bool)
    assert check_dependence(lambda h: net.vjp(h)[0][..., 0], strictly) == 0
    with pytest.raises(AssertionError, match="an output sees its own input 1"):
        check_dependence(lambda h: np.tanh(h) * [0, 1, 0], np.zeros((3, 3)))


@pytest.mark.parametrize("initialize, says", (
    (lambda self, x: self.forward(x)[0], "Nothing was done"),
    (lambda self, x: _set(self, -x.mean(axis=0), x.std(axis=0), x), "The mean is twice that of x: was it added"),
    (lambda self, x: _set(self, 0, x.std(axis=0), x), "The mean is not removed at all"),
    (lambda self, x: _set(self, x.mean(axis=0), x.var(axis=0), x), "was it divided by the variance, not by its root"),
    (lambda self, x: _set(self, x.mean(axis=0), x.std(), x), "Were the statistics taken over the wrong axes"),
    (lambda self, x: ActNorm.initialize(self, x) + 1, "expected mean 0 and variance 1, got mean 1 and variance 1.$"),
    (lambda self, x: _overwritten(self, x), "expected initialize to leave x untouched, got it overwritten"),
))
def test_causes_of_a_wrong_initialisation(initialize, says):
    cls = type("Wrong", (ActNorm,), {"initialize": initialize})
    flow, x = cls((2,)), X[:, :2] * [2.0, 0.3] + [5.0, -1.0]
    with pytest.raises(AssertionError, match=f"check_initialize: .*{says}"):
        check_initialize(flow, x)
    assert not flow.theta.any()                                  # it was a copy that was initialised
    assert check_initialize(ActNorm((2,)), x) < 1e-12
    assert check_initialize(ActNorm((2,), dtype=np.float32), x.astype(np.float32)) < 1e-3


def _set(flow, mu, sigma, x):
    flow.mu, flow.log_sigma = mu, np.log(sigma)
    return flow.forward(x)[0]


def _overwritten(flow, x):
    z = ActNorm.initialize(flow, x)
    x *= 2
    return z


def test_initialize_returns_what_forward_gives_and_forward_changes_nothing():
    class Lies(ActNorm):
        def initialize(self, x):
            return super().initialize(x)[::-1]

    class Changes(ActNorm):
        def forward_vjp(self, x):
            self.mu = self.mu + 1
            return super().forward_vjp(x)

    for cls, says in ((Lies, "expected initialize to return f\\(x\\)"), (Changes, "expected forward to change no "
                                                                                  "parameter")):
        with pytest.raises(AssertionError, match=says):
            check_initialize(cls((3,)), X)


@pytest.mark.parametrize("name", nf.testing.zoo(rng=0))
def test_extremes_of_every_flow_in_the_zoo(name):
    flow, x = nf.testing.zoo(rng=0, n=3)[name]
    if name != "logit, inverse":                                 # a sigmoid is 1 from 40 on, and nothing comes back
        assert check_extremes(flow, x) < 1e-6


def test_extremes_at_the_boundary_and_in_float32():
    x = np.random.default_rng(0).uniform(0.5, 1.5, (4, 3))
    check_extremes(Logit((3,), grey_levels=2), x, extremes=np.array([[0.0, 1.0, 2.0]]))

    class Overflows(Stranger):
        def forward(self, x):
            with np.errstate(over="ignore"):
                return 2 * x, np.log(np.exp(x ** 2)).sum(axis=1)

    with pytest.raises(AssertionError, match=r"check_extremes: row \d+, x = .*: expected a finite log_det, got inf"):
        check_extremes(Overflows(), X)

    class Rough(Diagonal):
        def forward(self, x):
            z, log_det = super().forward(x)
            return z, log_det + (0.1 if x.dtype == np.float32 else 0)

    with pytest.raises(AssertionError, match="log_det of row ., x = .* in float32 as in float64, got"):
        check_extremes(Rough(3), X)


# ---- models and losses -----------------------------------------------------------------------------------------------

def model_of(dim, seed=0):
    return nf.NormalizingFlow(randomize(nf.maf(dim, 2, (8,), "tanh", rng=seed).flow, seed))


class OffByConstant:
    """A model whose log_prob is off by a constant, as by a log-determinant."""

    def __init__(self, model, constant):
        self.model, self.constant, self.x_shape, self.sample = model, constant, model.x_shape, model.sample

    def log_prob(self, x):
        return self.model.log_prob(x) + self.constant


@pytest.mark.parametrize("dim", (1, 2, 5))
def test_density_of_right_and_wrong_models(dim):
    model = model_of(dim)
    assert check_density(model) < 0.2
    for constant in (0.5, -0.5):
        with pytest.raises(AssertionError, match=f"check_density: .*log_prob is too "
                                                 f"{'large' if constant > 0 else 'small'}"):
            check_density(OffByConstant(model, constant))


def test_density_of_images_and_of_shapes_too_sharp_for_the_grid():
    check_density(nf.NormalizingFlow(randomize(ActNorm((2, 2, 1)), 0)))
    sharp = nf.Composition([Dense(2, W=[[1.0, 0.9999], [0.9999, 1.0]])])
    check_density(nf.NormalizingFlow(sharp))


def test_density_at_its_stated_false_alarm_rate():
    """100 right models at a rate of 0.05: more than 14 alarms have probability 1e-4."""
    assert sum(fails(check_density, model_of(3, seed % 5), seed) for seed in range(100)) <= 14


def test_samples_at_their_stated_false_alarm_rate():
    assert sum(fails(check_samples, model_of(3, seed % 5), seed) for seed in range(100)) <= 14


def fails(check, model, seed):
    try:
        check(model, n=1000, rng=seed, false_alarm=0.05)
    except AssertionError:
        return True
    return False


def test_samples_beside_exact_values():
    flow = Triangular(2, W=[[1.0, 0.0], [2.0, 0.5]])
    model, L = nf.NormalizingFlow(flow), np.linalg.inv(flow.W)
    covariance = L @ L.T
    assert check_samples(model, np.zeros(2), covariance) < 5 and check_samples(model, mean=np.zeros(2)) < 5
    assert check_samples(model, covariance=covariance) < 5
    with pytest.raises(AssertionError, match="mean of coordinate 0: expected 0.3 from the exact values, got"):
        check_samples(model, mean=[0.3, 0.0])
    with pytest.raises(AssertionError, match="covariance of coordinates . and .: expected .* standard errors away"):
        check_samples(model, covariance=1.2 * covariance)


@pytest.mark.parametrize("temperature", (0.8, 1.2))
def test_samples_of_another_temperature_are_noticed(temperature):
    model = model_of(3)
    model.sample = lambda n, rng: nf.NormalizingFlow.sample(model, n, rng, temperature)
    with pytest.raises(AssertionError, match="check_samples: weight"):
        check_samples(model)


def grey(build, seed):
    """An autoregressive model of 2 x 2 pixels of three grey levels with random parameters."""
    model = build(0)
    model.theta[...] += 0.5 * np.random.default_rng(seed).standard_normal(model.n_params)
    return model


@pytest.mark.parametrize("build", (lambda rng: nf.AutoregressiveMLP(4, 3, (8,), rng=rng),
                                   lambda rng: nf.AutoregressiveCNN((2, 2, 1), 3, 4, 2, rng=rng)))
def test_samples_of_whole_grey_values(build):
    """Hoeffding's bound and 27 statistics that depend on each other: false alarms are far rarer than 0.05 allows."""
    model = grey(build, 0)
    assert sum(fails(check_samples, grey(build, seed), seed) for seed in range(20)) == 0
    for said in (lambda x: 0.7 * model.log_prob(x), grey(build, 1).log_prob, lambda x: model.log_prob(2 - x)):
        wrong = SimpleNamespace(sample=model.sample, log_prob=said, grey_levels=3, x_shape=model.x_shape)
        with pytest.raises(AssertionError, match="check_samples: .*: expected detailed balance"):
            check_samples(wrong)
    for samples in (lambda n, rng: model.sample(n, rng) + 0.5, lambda n, rng: model.sample(n, rng) - 1):
        wrong = SimpleNamespace(sample=samples, log_prob=model.log_prob, grey_levels=3, x_shape=model.x_shape)
        with pytest.raises(AssertionError, match="check_samples: expected samples of whole grey values 0 to 2"):
            check_samples(wrong)


def test_images_of_whole_grey_values_have_no_density():
    dequantized = nf.realnvp_image((2, 2, 1), 1, blocks=1, width=3, grey_levels=3, rng=0)
    for check, model in ((check_density, dequantized), (check_samples, dequantized),
                         (check_density, nf.AutoregressiveMLP(4, 3, (8,), rng=0))):
        with pytest.raises(NotApplicable, match=f"{check.__name__}: samples are images of whole grey values"):
            check(model)


def test_samples_that_are_not_finite():
    model = model_of(2)
    model.sample = lambda n, rng: np.full((n, 2), np.nan)
    for check in (check_density, check_samples):
        with pytest.raises(AssertionError, match=f"{check.__name__}: expected finite samples"):
            check(model)


def test_losses():
    model = model_of(3)
    assert check_loss(lambda model: nf.negative_log_likelihood(model, X), model) < 1e-8
    theta = model.theta.copy()
    with pytest.raises(AssertionError, match="check_loss: expected the same value from the same call"):
        rng = np.random.default_rng(0)
        check_loss(lambda model: nf.reverse_kl(model, nf.StandardNormal(3), 10, rng), model)
    with pytest.raises(AssertionError, match="check_loss: expected one number and a gradient of shape"):
        check_loss(lambda model: (model.log_prob(X), model.theta), model)
    np.testing.assert_array_equal(model.theta, theta)
    kinked = SimpleNamespace(theta=np.zeros(2))
    with pytest.raises(NotApplicable, match="has a kink"):
        check_loss(lambda model: (np.abs(model.theta).sum(), np.sign(model.theta)), kinked)


# ---- derivatives -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("distance", (1e-1, 3e-3, 1e-4, 2e-5))
def test_differences_stay_on_one_side_of_a_kink(distance):
    slope = richardson(lambda t: np.abs(np.array([t - distance, t + distance])) + np.exp(t))
    np.testing.assert_allclose(slope, [0, 2], atol=1e-7)


def test_kinks():
    assert has_kink(lambda t: np.maximum(np.array([t, 1 + t]), 0)) and has_kink(lambda t: np.abs(t - 3e-6))
    assert not has_kink(lambda t: np.exp(100 * t)) and not has_kink(lambda t: 1e6 + t ** 2)


def test_a_complex_step_can_be_declined():
    x = np.array([[-1.0], [2.0]])
    np.testing.assert_allclose(jacobian(np.abs, x, complex_step=False).ravel(), [-1, 1], rtol=1e-9)
    slope = directional_derivative(np.sin, x, np.ones_like(x), complex_step=False)
    np.testing.assert_allclose(slope, np.cos(x), rtol=1e-9)


def test_derivatives_in_theta_of_a_strangers_flow():
    class Shift(Stranger):
        theta = np.array([1.0, 2.0, 3.0])

        def forward(self, x):
            return x * self.theta, np.full(len(x), np.log(self.theta).sum())

    flow, v = Shift(), np.array([1.0, 0.0, -1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dz, dlog_det = theta_derivative(flow, "forward", X, v)
    np.testing.assert_allclose(dz, X * v, atol=1e-9)
    np.testing.assert_allclose(dlog_det, 1 - 1 / 3, atol=1e-9)
    np.testing.assert_array_equal(flow.theta, [1, 2, 3])
