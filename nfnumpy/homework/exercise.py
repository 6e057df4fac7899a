"""What an exercise is: a few plain records that its file in ``lectures/homework/checks`` fills in.

A file defines `EXERCISE`. It names the parts (functions that students write), for each the properties that are tested,
the inputs, the reference that expected values come from, and texts of answers, right and wrong, that test the checks
themselves. "Add an exercise" in ``lectures/homework/README.md`` walks through one.
"""
import dataclasses
import types
from collections.abc import Callable, Sequence
from typing import Any


class Case(types.SimpleNamespace):
    """Inputs for one round of checks, by name. The first cases are small and shown; those without `show` are hidden.

    A hidden case is never shown to a student: nothing of it leaves the grader but the inputs that a call needs. Of the
    others, `show` is what a student sees who fails there, ``{name: array or text}``: enough to repeat it by hand.
    """

    def __init__(self, show=None, **inputs):
        super().__init__(show=show, hidden=show is None, **inputs)


class Fail(Exception):
    """A property does not hold: what was seen, and, for the next level of help, a question that the symptom asks."""

    def __init__(self, seen, question=""):
        super().__init__(seen)
        self.seen, self.question = seen, question


@dataclasses.dataclass
class Property:
    """One thing that is tested of a part.

    Parameters
    ----------
    name : str
        What holds when it holds, as a student reads it: "log_det is that of the Jacobian".
    check : function
        ``check(answers, case, reference)`` raises `Fail`; `answers` and `reference` have the parts as functions.
    share : float
        Its weight in the part's points.
    alone : bool
        Whether it earns points by itself. Where it does not (a map that does nothing is consistent too), it earns them
        if one that does holds as well.
    alarm : bool
        Whether its failure is a false alarm, which takes off what the points file says.
    read : str
        What to read again, at the highest level of help: a slide and its box.
    shows : sequence of str
        Which of a case's inputs to show where it fails; all, if empty.
    """

    name: str
    check: Callable
    share: float = 1.0
    alone: bool = True
    alarm: bool = False
    read: str = ""
    shows: Sequence = ()


@dataclasses.dataclass
class Wrong:
    """A wrong answer to be expected: `change` of the exercise's answer, ``{old text: new text}``.

    It must lose points in `part`, by the property `fails`; with `asks`, a piece of the question that its symptom
    raises. `credit` is what it may still earn of the part, 0 to 1, at most.
    """

    name: str
    change: dict
    part: str
    fails: str
    asks: str = ""
    credit: float = 0.95


@dataclasses.dataclass
class Opposite:
    """Another convention, consistently kept: `change` of the exercise's answer, and the sentence that names it.

    A part that fails, but has every property with this as the reference, gets the points file's credit for it.
    """

    sentence: str
    change: dict
    parts: Sequence = ()


@dataclasses.dataclass
class Variant:
    """Another convention that is asked for: `text`, changes of the template, `answer`, changes of the answer.

    Variant 0 is the slides', without changes. Cases and reference are given the number.
    """

    text: dict
    answer: dict


@dataclasses.dataclass
class Exercise:
    """See the module's text; `slug`, the file's name, and `template`, its text, are filled in when it is loaded.

    Parameters
    ----------
    title, slide : str
        In words, and where it is in the lecture.
    minutes : int
        How long it takes.
    parts : dict
        ``{name of the function or class: list of Property}``. Names are unique over all exercises.
    cases : function
        ``cases(rng, variant)`` gives the `Case` list, the smallest first; `rng` is for the hidden ones.
    reference : function
        ``reference(case, variant)`` gives an object with the parts as functions: the library on the case's parameters.
    answer : str
        Source of a right answer, in the words of the slide; the other texts are changes of it.
    right : dict
        ``{name: source, or changes}`` of right answers written differently, two or more.
    wrong : list of Wrong
        Five or more.
    opposite : list of Opposite
    variants : dict
        ``{number from 1: Variant}``.
    """

    title: str
    slide: str
    minutes: int
    parts: dict
    cases: Callable
    reference: Callable
    answer: str
    right: dict
    wrong: list
    opposite: Sequence = ()
    variants: dict = dataclasses.field(default_factory=dict)
    slug: str = ""
    template: str = ""

    def template_of(self, variant):
        """The text that students get, before the first line that says so."""
        return changed(self.template, self.variant(variant).text)

    def answer_of(self, variant, change: Any = ()):
        """The right answer, changed, or another source altogether."""
        if isinstance(change, str):
            return change
        return changed(changed(self.answer, self.variant(variant).answer), dict(change))

    def variant(self, number):
        """The `Variant` of that number, or ValueError."""
        if number == 0:
            return Variant({}, {})
        if number not in self.variants:
            numbers = ", ".join(map(str, [0, *self.variants]))
            raise ValueError(f"--variant: {self.slug} has the variants {numbers}, got {number}")
        return self.variants[number]


def changed(text, changes):
    """`text` with every old piece replaced by its new one; a piece that is not there is an error of the author.

    >>> changed("z = x + mu", {"+ mu": "- mu"})
    'z = x - mu'
    """
    for old, new in changes.items():
        if old not in text:
            raise ValueError(f"change: the text has no {old!r}")
        text = text.replace(old, new)
    return text
