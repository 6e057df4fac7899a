"""From a submission's functions to points: which properties hold, at which input the others fail, and what that is
worth.
"""
import dataclasses
import types

import numpy as np

from nfnumpy.homework.exercise import Fail
from nfnumpy.homework.peer import Raised
from nfnumpy.homework.protocol import ProtocolError
from nfnumpy.homework.runner import Ended, InProcess


@dataclasses.dataclass
class Result:
    """Of one property: whether it holds, and, where it does not, what was seen, at which case, and what it asks."""

    name: str
    holds: bool
    seen: str = ""
    question: str = ""
    case: object = None
    read: str = ""
    shows: tuple = ()                                            # of the inputs that may be shown; all for none


@dataclasses.dataclass
class PartVerdict:
    """Of one part: `state` is "done", "not started", "missing" or "failed" (nothing could be tested; `reason` says
    why).
    """

    name: str
    state: str = "done"
    credit: float = 0.0                                          # 0 to 1
    results: list = dataclasses.field(default_factory=list)
    reason: str = ""
    convention: str = ""                                         # the sentence of an opposite that was recognised
    notes: list = dataclasses.field(default_factory=list)

    @property
    def held(self):
        return sum(result.holds for result in self.results)


class Answers:
    """The parts of a submission as functions, which remember what the last call did to its arguments."""

    def __init__(self, functions, peer):
        self.__dict__.update(functions)
        self._peer, self.notes = peer, []

    def changed(self):
        """Of the last call: which arguments came back other than they were."""
        return self._peer.changed

    def note(self, sentence):
        """Something to tell the student that costs no points."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def judge_part(exercise, part, answers, variant, seed, credits):
    """The `PartVerdict` on ``answers``, with the credits of the points file."""
    answers.notes = []
    results = check_all(exercise, part, answers, cases_of(exercise, variant, seed), variant)
    verdict = PartVerdict(part, results=results, credit=earned(exercise.parts[part], results, credits),
                          notes=answers.notes)
    if verdict.held < len(results) and variant == 0:
        for opposite in exercise.opposite:
            if (not opposite.parts or part in opposite.parts) and keeps(exercise, part, answers, seed, opposite):
                verdict.convention = opposite.sentence
                verdict.credit = max(verdict.credit, credits["opposite"])
                break
    return verdict


def cases_of(exercise, variant, seed):
    """The exercise's cases, smallest first: the same for the same seed and variant."""
    return list(exercise.cases(np.random.default_rng([seed, variant]), variant))


def check_all(exercise, part, answers, cases, variant):
    """A `Result` for each property: at the first case, the smallest, at which it fails."""
    with np.errstate(all="ignore"):
        return [check_one(prop, answers, cases, lambda case: exercise.reference(case, variant))
                for prop in exercise.parts[part]]


def check_one(prop, answers, cases, reference):
    """The `Result` of one property; `Ended` and EOFError, of a process that is gone, reach the caller."""
    def fails(seen, question=""):
        return Result(prop.name, False, seen, question, case, prop.read, tuple(prop.shows))

    for case in cases:
        try:
            prop.check(answers, case, reference(case))
        except Fail as fail:
            return fails(fail.seen, fail.question)
        except Raised as error:
            return fails(f"it raised {error.kind}: {error.message}" + (f" ({error.where})" if error.where else ""))
        except ProtocolError as error:
            return fails(str(error))
        except (Ended, EOFError):
            raise
        except Exception as error:                               # a pair that is none, a vjp that cannot be called
            return fails(f"the answer has not the form that was asked for ({type(error).__name__}: {error})")
    return Result(prop.name, True)


def earned(properties, results, credits):
    """The share of a part's points: shares of what holds, supporting ones beside a main one only, less penalties.

    >>> from nfnumpy.homework.exercise import Property
    >>> pair = [Property("z", None), Property("consistent", None, alone=False)]
    >>> [earned(pair, [Result("z", z), Result("consistent", True)], {}) for z in (True, False)]
    [1.0, 0.0]
    """
    holds = {result.name: result.holds for result in results}
    main = any(holds[prop.name] for prop in properties if prop.alone)
    total = sum(prop.share for prop in properties)
    got = sum(prop.share for prop in properties if holds[prop.name] and (prop.alone or main))
    alarms = sum(prop.alarm for prop in properties if not holds[prop.name])
    return float(min(max(got / total - alarms * credits.get("false_alarm", 0), 0.0), 1.0))


def keeps(exercise, part, answers, seed, opposite):
    """Whether the answers have every property with the other convention as the reference."""
    with InProcess() as runner:
        functions, _ = runner.load([exercise.answer_of(0, opposite.change)], True, list(exercise.parts))
        other, cases = types.SimpleNamespace(**functions), cases_of(exercise, 0, seed)
        with np.errstate(all="ignore"):                          # the first property that fails decides
            return all(check_one(prop, answers, cases, lambda case: other).holds for prop in exercise.parts[part])


def judge(exercise, source, parts, variant, seed, credits, runner):
    """``{part: PartVerdict}`` of a submission's source, a list of cells, by the given runner; never raises for what it
    does.

    `source` has `cells`, `whole` (a .py file, not a notebook) and `started`, the parts that differ from the template.
    """
    verdicts = {part: PartVerdict(part, "not started") for part in parts if part not in source.started}
    wanted = [part for part in parts if part in source.started]
    if not wanted:
        return verdicts
    ended = ""
    try:
        with runner as running:
            functions, problems = running.load(source.cells, source.whole, wanted, source.beside)
            answers = Answers(functions, running.peer)
            for part in wanted:
                if part not in functions:
                    reason = f"there is no function {part}" + (f"; {'; '.join(problems[:3])}" if problems else "")
                    verdicts[part] = PartVerdict(part, "missing", reason=reason)
                    continue
                verdicts[part] = judge_part(exercise, part, answers, variant, seed, credits)
    except Raised as error:
        said = not error.where or error.where in error.message   # as in a SyntaxError's
        where = "" if said else f" ({error.where})"
        ended = f"the file cannot be loaded: {error.kind}: {error.message}{where}"
    except (Ended, EOFError) as error:
        ended = str(error)
    except ProtocolError as error:
        ended = f"it answered with what is no value: {error}"
    return {part: verdicts.get(part) or PartVerdict(part, "failed", reason=ended) for part in parts}
