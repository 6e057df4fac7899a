"""From a folder or a zip as a learning platform gives it to submissions: whose files are whose, in plain bytes.

Nothing is unpacked to the disk, so that a path in an archive leads nowhere; only .py and .ipynb files are read, each
up to a limit, whatever size an archive claims for it.
"""
import dataclasses
import io
import os
import pathlib
import re
import unicodedata
import zipfile

from nfnumpy.homework.sources import Unreadable, clean_stem, read_source

FILE, ALL, ENTRIES, NESTED = 4 << 20, 256 << 20, 20_000, 2       # bytes of a file, of all; entries; zips in zips
SUFFIXES = (".py", ".ipynb")
IGNORED = ("__MACOSX", "__pycache__")
MOODLE = re.compile(r"^(.+?)_(\d+)_assignsubmission_[a-z]+_?(.*)$", re.DOTALL)
CANVAS = re.compile(r"^([^_]+)_(?:LATE_)?(\d+)_(\d+)_(.+)$", re.DOTALL)


@dataclasses.dataclass
class Submission:
    """One student's: `sources`, and `problems`, sentences about what could not be read."""

    name: str
    sources: list = dataclasses.field(default_factory=list)
    problems: list = dataclasses.field(default_factory=list)


class Reader:
    """Collects ``(path parts, bytes)``; bytes are None for a folder or a file that is not read, with a problem or none.
    """

    def __init__(self):
        self.entries, self.bytes = [], 0

    def folder(self, path):
        for place, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not ignored(name))
            parts = pathlib.Path(place).relative_to(path).parts
            if parts and not files and not folders:
                self.add(parts, None)
            for name in sorted(name for name in files if not ignored(name)):
                self.file(parts + (name,), pathlib.Path(place) / name)

    def file(self, parts, path):
        suffix = path.suffix.lower()
        if not path.is_file() or path.is_symlink():
            return
        if suffix == ".zip":
            self.archive(parts, path, 1)
        elif suffix in SUFFIXES and path.stat().st_size > FILE:
            self.add(parts, None, f"{path.name} is larger than {FILE >> 20} MB")
        else:
            self.add(parts, path.read_bytes() if suffix in SUFFIXES else None)

    def archive(self, parts, file, level):
        """The entries of a zip; below the top, what is in it stands where the zip stands."""
        inside = parts[:-1] if len(parts) > 1 else (parts[-1][:-4],) if parts else ()
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                if len(entries) > ENTRIES:
                    raise Unreadable(f"more than {ENTRIES} entries")
                for entry in entries:
                    self.entry(archive, entry, inside, level)
        except (zipfile.BadZipFile, Unreadable, OSError, EOFError, NotImplementedError, ValueError) as error:
            if not parts:
                raise ValueError(f"{file}: this zip cannot be read: {error}") from error
            self.add(inside or parts, None, f"{parts[-1]} cannot be read: {error}")

    def entry(self, archive, entry, inside, level):
        path = pathlib.PurePosixPath(entry.filename.replace("\\", "/"))
        parts = inside + tuple(part for part in path.parts if part not in (".", "/"))
        if ".." in path.parts or path.is_absolute() or re.match(r"^[A-Za-z]:", entry.filename):
            self.add(inside or ("(unknown)",), None,
                     f"a path that leads out of the archive was refused: {entry.filename[:80]!r}")
        elif any(ignored(part) for part in parts):
            return
        elif entry.is_dir() or not entry.filename.lower().endswith((*SUFFIXES, ".zip")):
            self.add(parts, None)
        elif entry.flag_bits & 1:
            self.add(parts, None, f"{path.name} is locked with a password")
        else:
            limit = ALL if path.suffix.lower() == ".zip" else FILE
            data = self.limited(archive, entry, limit)
            if data is None:
                self.add(parts, None, f"{path.name} is larger than {limit >> 20} MB")
            elif path.suffix.lower() != ".zip":
                self.add(parts, data)
            elif level < NESTED:
                self.archive(parts, io.BytesIO(data), level + 1)
            else:
                self.add(parts, None, f"{path.name} is a zip in a zip in a zip, and was not opened")

    def limited(self, archive, entry, limit):
        """An entry's bytes, or None for more than the limit; all together are limited too."""
        with archive.open(entry) as stream:
            data = stream.read(min(limit, ALL - self.bytes) + 1)
        self.bytes += len(data)
        if self.bytes > ALL:
            raise Unreadable(f"more than {ALL >> 20} MB in all")
        return data if len(data) <= limit else None

    def add(self, parts, data, problem=""):
        self.entries.append((tuple(unicodedata.normalize("NFC", part) for part in parts), data, problem))


def ignored(name):
    """Files that systems leave behind."""
    return name.startswith(".") or name in IGNORED


def read_submissions(path, exercises):
    """``[Submission]``, sorted by name, from a folder, a zip, or a single file.

    `exercises` are the names that files of one student may have: a folder of only such files is one submission.
    """
    path, reader = pathlib.Path(path), Reader()
    if path.is_dir():
        reader.folder(path)
    elif path.suffix.lower() == ".zip" and path.is_file():
        reader.archive((), path, 0)
    elif path.suffix.lower() in SUFFIXES and path.is_file():
        reader.file((path.name,), path)
    else:
        raise FileNotFoundError(f"{path}: expected a folder, a zip, a .py or an .ipynb file, and there is none")
    found = {}
    for parts, data, problem in unwrapped(reader.entries):
        name, file = owner(parts, path.resolve().name if path.is_dir() else path.stem, exercises)
        submission = found.setdefault(name, Submission(name))
        if problem:
            submission.problems.append(problem)
        elif data is not None:
            try:
                submission.sources.append(read_source(file, data))
            except Unreadable as error:
                submission.problems.append(str(error))
    for submission in found.values():
        if not submission.sources and not submission.problems:
            submission.problems.append("there is no .py and no .ipynb file in it")
    if not found:
        raise ValueError(f"{path}: there are no submissions in it")
    return [found[name] for name in sorted(found)]


def unwrapped(entries):
    """Without a folder around everything, as some archives have one: it holds folders only, and is no student's."""
    tops = {parts[0] for parts, *_ in entries}
    while (len(tops) == 1 and all(len(parts) > 2 or data is None and len(parts) < 2 for parts, data, _ in entries)
           and any(len(parts) > 2 for parts, *_ in entries) and not MOODLE.match(next(iter(tops)))):
        entries = [(parts[1:], data, problem) for parts, data, problem in entries if len(parts) > 1]
        tops = {parts[0] for parts, *_ in entries}
    return entries


def owner(parts, container, exercises):
    """Whose file it is, and the file's own name.

    >>> owner(("Mia Li_17_assignsubmission_file_", "hw.py"), "all", ())
    ('Mia Li_17', 'hw.py')
    >>> owner(("limia_LATE_17_2034_gaussian_ar-1.py",), "all", ())
    ('limia_17', 'gaussian_ar-1.py')
    >>> owner(("gaussian_ar (1).py",), "mia", ("gaussian_ar",)), owner(("mia.ipynb",), "all", ())
    (('mia', 'gaussian_ar (1).py'), ('mia', 'mia.ipynb'))
    """
    first = parts[0]
    if match := MOODLE.match(first):
        return f"{match[1]}_{match[2]}", parts[-1] if len(parts) > 1 else match[3] or first
    if len(parts) > 1:
        return first, parts[-1]
    if match := CANVAS.match(first):
        return f"{match[1]}_{match[2]}", match[4]
    stem, dot, _ = first.rpartition(".")
    stem = clean_stem(stem if dot else first)[0]
    return (container if stem in exercises else stem), first
