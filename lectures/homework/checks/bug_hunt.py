"""Checks of `bug_hunt`: the listings stand in the template; here stands which line of each is broken, and what was
there.

Listings are never run to grade: an answer is eight numbers. That each one is broken in this line, gives what the text
says, and is right with the line put back, is tested in ``tests/test_homework_bug_hunt.py``.
"""
import dataclasses
import pathlib
import re
from types import SimpleNamespace

import numpy as np

from nfnumpy.homework.exercise import Case, Exercise, Fail, Property, Variant, Wrong
from nfnumpy.homework.properties import Call, fitted, shapes

TEMPLATE = (pathlib.Path(__file__).parents[1] / "bug_hunt.py").read_text(encoding="utf-8")


@dataclasses.dataclass
class Bug:
    """One of the lines of a listing, as it is in a right one, and in a broken one."""

    line: int
    right: str
    broken: str
    call: str = ""                                               # of the counterexample, where it is not the template's
    gives: str = ""
    must_be: str = ""


# For each listing the bug that the template has, and the other one, which the variant has.
BUGS = [
    (Bug(5, "mu, log_sigma = network(x)", "mu, log_sigma = network(z)"),
     Bug(4, "for j in range(z.shape[1]):", "for j in range(z.shape[1] - 1):",
         "inverse(np.array([[1.0, 2.0, 1.0]]), network)[0]", "[[1, 5, 0]]", "[[1, 5, 70]]")),
    (Bug(7, "log_det = -np.sum(log_sigma, axis=1)", "log_det = -np.sum(log_sigma, axis=0)"),
     Bug(4, "mu, log_sigma = network(x_1)", "mu, log_sigma = network(x_2)",
         "forward(np.array([[0.0, 0.0, 3.0, 0.0]]), network)[0]", "[[0, 0, 0, 0]]", "[[0, 0, 3, 0]]")),
    (Bug(8, "grad_log_sigma = -grad_z_2 * z_2 - grad_log_det[:, None]",
         "grad_log_sigma = -grad_z_2 * (x_2 - mu) - grad_log_det[:, None]"),
     Bug(10, "grad_x = np.concatenate([grad_z_1 + grad_x_1, grad_x_2], axis=1)",
         "grad_x = np.concatenate([grad_x_1, grad_x_2], axis=1)",
         "forward_vjp(np.array([[1.0, 1.0]]), network_vjp)[1](np.array([[1.0, 1.0]]), np.array([0.0]))[0]",
         "[[-0.5, 0.5]]", "[[0.5, 0.5]]")),
    (Bug(6, "total = total + log_det", "total = log_det"),
     Bug(8, "log_p_z = -0.5 * np.sum(z ** 2, axis=1) - 0.5 * m * np.log(2 * np.pi)",
         "log_p_z = -0.5 * np.sum(z ** 2, axis=1) - 0.5 * np.log(2 * np.pi)",
         "log_prob(np.zeros((1, 2)), [double, double, double])", "[3.24]", "[2.321]")),
    (Bug(10, "grad_L = np.tril(grad_y.T @ h, -1)", "grad_L = np.tril(grad_y.T @ x, -1)"),
     Bug(8, "grad_y = grad_z[:, np.argsort(perm)]", "grad_y = grad_z[:, perm]",
         "plu_vjp(x, [1, 2, 0], ones, zero, ones)[1](np.array([[1.0, 0.0, 2.0]]), zero[:1])[0]",
         "[[3, 6, 7]]", "[[3, 4, 4]]")),
    (Bug(7, "result.append(above[:, None] >= below[None, :])", "result.append(above[:, None] > below[None, :])"),
     Bug(8, "result.append(degrees[0][:, None] > degrees[-1][None, :])",
         "result.append(degrees[0][:, None] >= degrees[-1][None, :])",
         "sees(masks(3, (2, 2)))", "[[1, 0, 0], [1, 1, 0], [1, 1, 0]]", "[[0, 0, 0], [1, 0, 0], [1, 1, 0]]")),
    (Bug(6, "log_det = height * width * log_abs_det", "log_det = c * width * log_abs_det"),
     Bug(4, "z = (pixels @ W.T).reshape(n, height, width, c)", "z = (pixels @ W).reshape(n, height, width, c)",
         "conv1x1(np.ones((1, 1, 1, 2)), W)[0]", "[[[[1, 4]]]]", "[[[[3, 2]]]]")),
    (Bug(4, "return mu, 0.5 * np.log(variance)", "return mu, np.log(variance)"),
     Bug(8, "log_det = -pixels * np.sum(log_sigma)", "log_det = -np.sum(log_sigma)",
         "forward(np.ones((1, 2, 3, 2)), np.zeros(2), np.ones(2))[1]", "[-2]", "[-12]"))]

QUESTIONS = [
    "The last number is the only one that is wrong; and of a batch of two, what belongs to each log_det?",
    "Which numbers of the gradient are right, and which line makes the other ones? What do three equal steps give?",
    "Write each product of matrices with its shapes; which layer's comparison cuts, and which one may?",
    "Try an image with other sides, and a batch that is normalized twice: what changes, and what must not?"]
QUESTIONS_OF_VARIANT = [
    "The last number is the only one that is wrong; and may an entry of x_2 change what is done to itself?",
    "On how many ways does x_1 reach z? And by how much does log p move with m?",
    "Undo a cycle of three by hand; and may an output see the input of its own number?",
    "Write W x for one pixel by hand; and try an image of one pixel: what is right then?"]


def listing(k, template=TEMPLATE):
    """The text of listing k, from 1: source with line numbers, setting, counterexample."""
    return re.search(rf"^Listing {k},.*?(?=^Listing|^\"\"\")", template, re.DOTALL | re.MULTILINE).group()


def source_of(text):
    """The lines of a listing without their numbers: what one would run."""
    return [line[8:] for line in text.splitlines() if re.match(r" {4,5}\d+  ", line)]


def other(k):
    """Listing k with its first bug mended and the other one in."""
    text, (first, second) = listing(k), BUGS[k - 1]
    for old, new in ((first.broken, first.right), (second.right, second.broken)):
        if text.count(old + "\n") != 1:
            raise ValueError(f"listing {k}: expected {old!r} once")
        text = text.replace(old + "\n", new + "\n")
    told = f"    call:     {second.call}\n    gives:    {second.gives}\n    must be:  {second.must_be}"
    return re.sub(r"^    call: .*?must be: [^\n]*", lambda match: told, text, flags=re.DOTALL | re.MULTILINE)


LINES = [[bugs[variant].line for bugs in BUGS] for variant in (0, 1)]


def cases(rng, variant):
    """One, and nothing to draw."""
    yield Case({"listings": "in the text of the exercise"}, x=None, variant=variant)


def reference(case, variant):
    return SimpleNamespace(bug_hunt_lines=lambda: LINES[variant])


ANSWERED = Call(lambda answers, case, x: answers.bug_hunt_lines(), ["lines"])


def pair(k):
    """Property: of listings k and k + 1 both lines are right. Which one is not stays open: else one could try all."""
    def check(answers, case, reference):
        expected = np.array(LINES[case.variant])
        got = fitted(ANSWERED(answers, case)["lines"], expected, "lines")[k - 1:k + 1]
        expected = expected[k - 1:k + 1]
        if (got == expected).all():
            return
        question = (QUESTIONS_OF_VARIANT if case.variant else QUESTIONS)[k // 2]
        if (got == expected - 1).all():
            question = "One too small: the listings count from 1, do you?"
        raise Fail(f"got the lines {got[0]:g} and {got[1]:g}, which are not both broken", question)
    return Property(f"listings {k} and {k + 1}: the broken lines", check,
                    read='the slides of the listings, from "Composition of normalizing flows" to "RealNVP"')


ANSWER = '''
def bug_hunt_lines():
    return [5, 7, 8, 6, 10, 7, 6, 4]
'''
CHANGES = {"[5, 7, 8, 6, 10, 7, 6, 4]": "[4, 4, 10, 8, 8, 8, 4, 8]"}

EXERCISE = Exercise(
    title="Bug hunt", slide="RealNVP", minutes=40, cases=cases, reference=reference, answer=ANSWER,
    parts={"bug_hunt_lines": [*(pair(k) for k in (1, 3, 5, 7)), shapes(ANSWERED, "eight numbers", share=0.25)]},
    right={"a tuple": {"[5, 7, 8, 6, 10, 7, 6, 4]": "(5, 7, 8, 6, 10, 7, 6, 4)"},
           "an array, listing by listing": "import numpy as np\n\n\ndef bug_hunt_lines():\n"
                                           "    lines = np.zeros(8, dtype=int)\n"
                                           "    lines[:4] = 5, 7, 8, 6\n    lines[4:] = 10, 7, 6, 4\n"
                                           "    return lines\n"},
    wrong=[
        Wrong("the same line everywhere", {"[5, 7, 8, 6, 10, 7, 6, 4]": "[7] * 8"}, "bug_hunt_lines",
              "listings 1 and 2: the broken lines", asks="last number", credit=0),
        Wrong("the line where it shows, not where it is", {"5, 7, 8, 6, 10": "6, 8, 11, 9, 13"}, "bug_hunt_lines",
              "listings 3 and 4: the broken lines", asks="which line makes", credit=0.3),
        Wrong("counted from 0", {"[5, 7, 8, 6, 10, 7, 6, 4]": "[4, 6, 7, 5, 9, 6, 5, 3]"}, "bug_hunt_lines",
              "listings 7 and 8: the broken lines", asks="count from 1", credit=0),
        Wrong("one of each pair", {"[5, 7, 8, 6, 10, 7, 6, 4]": "[5, 1, 8, 1, 10, 1, 6, 1]"}, "bug_hunt_lines",
              "listings 5 and 6: the broken lines", asks="shapes", credit=0),
        Wrong("seven numbers", {", 6, 4]": ", 6]"}, "bug_hunt_lines", "eight numbers", credit=0),
        Wrong("all lines of each", {"[5, 7, 8, 6, 10, 7, 6, 4]": "[range(1, 10)] * 8"}, "bug_hunt_lines",
              "eight numbers", credit=0),
        Wrong("one slip", {"10, 7, 6, 4": "10, 8, 6, 4"}, "bug_hunt_lines",
              "listings 5 and 6: the broken lines", asks="comparison", credit=0.8)],
    variants={1: Variant({listing(k): other(k) for k in range(1, 9)}, CHANGES)})
