"""From submissions to grades: every exercise in a process of its own, so that nothing that one does reaches another."""
import collections
import dataclasses

from nfnumpy.homework.judge import PartVerdict, judge
from nfnumpy.homework.packs import Pack
from nfnumpy.homework.runner import ChildProcess
from nfnumpy.homework.sources import assign, clean_stem
from nfnumpy.homework.templates import headers, started, template


@dataclasses.dataclass
class Graded:
    """One submission's verdicts, ``{exercise: {part: PartVerdict}}``, remarks on its files, and the exercises without
    one.
    """

    name: str
    pack: Pack
    verdicts: dict
    remarks: list
    without: list = dataclasses.field(default_factory=list)

    def points(self, slug):
        """Points of an exercise, to the hundredth."""
        parts = self.pack.points[slug]
        return round(sum(verdict.credit * parts[part] for part, verdict in self.verdicts[slug].items()), 2)

    @property
    def most(self):
        """The points that there are for what was graded."""
        return round(sum(sum(self.pack.points[slug].values()) for slug in self.verdicts), 2)

    @property
    def total(self):
        return round(sum(self.points(slug) for slug in self.verdicts), 2)


def grade(submission, pack, seed, only=None, runner=ChildProcess):
    """The `Graded` of a `Submission`; of one exercise alone with `only`."""
    sources, remarks = assign(submission.sources, pack.exercises)
    remarks = [*submission.problems, *remarks]
    verdicts, without = {}, []
    for slug in [only] if only else pack.exercises:
        parts = list(pack.points[slug])
        source = sources.get(slug)
        if source is None:
            reason = "no file was handed in for it"
            without.append(slug)
            verdicts[slug] = {part: PartVerdict(part, "missing", reason=reason) for part in parts}
            continue
        remarks += mismatch(source, pack, slug)
        begun = started(source.cells, parts, templates_of(source, pack, slug))
        beside = others(submission.sources, source)
        source = dataclasses.replace(source, started=begun, beside=beside)       # one file may hold several exercises
        verdicts[slug] = judge(pack.exercises[slug], source, parts, pack.variant_of(slug), seed, pack.credits,
                               runner(slug))
        reasons = dict.fromkeys(verdict.reason for verdict in verdicts[slug].values() if verdict.reason)
        remarks += [f"{slug}: {reason}" for reason in reasons]
    return Graded(submission.name, pack, verdicts, remarks, without)


def others(sources, source):
    """The other .py files of a submission, ``{name: text}``, for one that imports another."""
    names = {f"{clean_stem(other.name[:-3])[0]}.py": other for other in sources if other.whole and other is not source}
    return {name: other.text for name, other in names.items() if name[:-3].isidentifier()}


def templates_of(source, pack, slug):
    """The texts that count as not started: this variant's, and that of the variant that the file says it is."""
    variants = {pack.variant_of(slug)} | {variant for name, _, _, variant in headers(source.text) if name == slug}
    known = pack.exercises[slug].variants
    return [template(pack, slug), *(pack.exercises[slug].template_of(k) for k in variants if k == 0 or k in known)]


def mismatch(source, pack, slug):
    """A remark, where a file's first line is of another pack, version or variant than is graded."""
    remarks = []
    for name, *was in headers(source.text):
        if name == slug and tuple(was) != (pack.name, pack.version, pack.variant):
            remarks.append(f"{slug}: the file is of pack {was[0]} {was[1]}, variant {was[2]}; graded was {pack.name} "
                           f"{pack.version}, variant {pack.variant}")
    return remarks


def pack_of(submissions, name=None, variant=None, points=None):
    """The pack to grade: as given, else as the files' first lines say, if they agree."""
    seen = collections.Counter((pack, variant) for submission in submissions for source in submission.sources
                               for _, pack, _, variant in headers(source.text))
    names, variants = sorted({pack for pack, _ in seen}), sorted({number for _, number in seen})
    if name is None and len(names) > 1:
        raise ValueError(f"the submissions are of different packs, {', '.join(names)}: say --pack, which one to grade")
    if variant is None and len(variants) > 1:
        raise ValueError(f"the submissions are of different variants, {', '.join(map(str, variants))}: say --variant, "
                         "which one was asked for")
    return Pack(name or (names or ["week"])[0], (variants or [0])[0] if variant is None else variant, points)
