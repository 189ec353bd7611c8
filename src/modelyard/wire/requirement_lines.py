"""What one line of an environment may say: a pip requirement, a pip option, a conda dependency.

The one place for these rules. The SDK checks by them before it sends, the yard refuses by them, a node reads by them
before it builds. A line is data for a resolver, so whatever could make it more than that is refused: control
characters, options inside a package's line, shell words.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, NamedTuple, Optional, Tuple

MAX_LINE = 2000

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_CLAUSE = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9_.*+!-]+"
_CLAUSES = _CLAUSE + r"(?:\s*,\s*" + _CLAUSE + r")*"
_MARKER = r"[A-Za-z0-9_.\s<>=!~'\"()+*,-]+"
_REQUIREMENT = re.compile(
    r"(?P<name>" + _NAME + r")\s*"
    r"(?P<extras>\[\s*(?:" + _NAME + r"\s*(?:,\s*" + _NAME + r"\s*)*)?\])?\s*"
    r"(?P<version>\(\s*" + _CLAUSES + r"\s*\)|" + _CLAUSES + r"|@\s*(?P<url>\S+)(?=\s|$))?\s*"
    r"(?:;(?P<marker>" + _MARKER + r"))?"
)
_HASH = re.compile(r"\s+--hash=(?:sha256|sha384|sha512):[0-9a-f]+")
_URL = re.compile(r"(?:https?|file|git\+https?|git\+ssh|git\+file)://[^\s'\"`$|<>\\]+")
_ARCHIVE = re.compile(r"/[^\s'\"`$;|<>\\]+\.(?:whl|tar\.gz|zip)")
_CONDA_VERSION = r"(?:[=<>!~]{1,3}\s*)?[0-9*][A-Za-z0-9_.*+!]*"
_CONDA = re.compile(
    r"(?:-c\s+)?(?:(?P<channel>[A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)*)::)?"
    r"(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)"
    r"(?P<rest>\s*\[[\sA-Za-z0-9_.*+!<>=~|,'\"-]*\]|(?:\s*(?=[=<>!~])|\s+)"
    + _CONDA_VERSION
    + r"(?:\s*[,|]\s*"
    + _CONDA_VERSION
    + r")*(?:(?:\s*=\s*|\s+)[A-Za-z0-9_.*]+)?)?"
)

_CONDA_PACKAGE = re.compile(
    r"(?P<url>(?:https?|file)://[^\s'\"`$;|<>\\#]+/(?P<subdir>[a-z0-9-]+)/"
    r"(?P<file>(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)-(?P<version>[A-Za-z0-9_.!+]+)-(?P<build>[A-Za-z0-9_.+]+)"
    r"\.(?:conda|tar\.bz2)))(?:#(?:sha256:)?(?P<sha256>[0-9a-f]{64}))?"
)

# pip's options that choose where packages come from and which of them may be taken; True: takes a value.
PIP_OPTIONS = {
    "-i": True,
    "--index-url": True,
    "--extra-index-url": True,
    "-f": True,
    "--find-links": True,
    "--trusted-host": True,
    "--no-binary": True,
    "--only-binary": True,
    "--no-index": False,
    "--pre": False,
    "--prefer-binary": False,
}
_URL_OPTIONS = ("-i", "--index-url", "--extra-index-url")
_OPTION_VALUE = re.compile(r"[^\s'\"`$;|<>\\]+")


class Requirement(NamedTuple):
    """A pip requirement taken apart. `name` is in its canonical form, empty for a bare URL or file."""

    name: str
    extras: Tuple[str, ...]
    text: str  # the whole line, trimmed


class CondaDependency(NamedTuple):
    """A conda dependency taken apart; `rest` is the version and build as written. Of a package that is given by its
    address, the whole line is the name."""

    name: str
    channel: str
    rest: str


class CondaPackage(NamedTuple):
    """One package file of a conda channel, as a lock lists it; `sha256` in hex, empty: not known."""

    url: str
    subdir: str  # the part of the channel: noarch, linux-64 …
    file: str
    name: str
    version: str
    build: str
    sha256: str


def canonical_name(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def shown(line: Any) -> str:
    """A line as it may be put into a message."""
    text = repr(line)
    return text if len(text) <= 120 else text[:119] + "…"


def _text_problem(line: Any) -> str:
    if not isinstance(line, str):
        return "is not text"
    if not line.strip():
        return "is empty"
    if len(line) > MAX_LINE:
        return f"is longer than {MAX_LINE} characters"
    if _CONTROL.search(line):
        return "holds a control character or a line break"
    return ""


def requirement_problem(line: str) -> str:
    """Why `line` is not one pip requirement, as the end of a sentence; empty when it is."""
    problem = _text_problem(line)
    if problem:
        return problem
    text = line.strip()
    if text[0] == "-":
        return _option_as_package(text)
    if _URL.fullmatch(text) or _ARCHIVE.fullmatch(text):
        return ""
    bare = _HASH.sub("", text)
    if re.search(r"\s-{1,2}[A-Za-z]", bare):
        return "holds an option inside a package's line; give pip options in their own place (set_pip_option)"
    match = _REQUIREMENT.fullmatch(bare)
    if match is None:
        if re.fullmatch(_NAME + r"\s*=\s*[0-9][\w.*]*", text):
            return "has conda's single '='; pip writes '=='"
        if text.startswith((".", "~")) or ("/" in text and "://" not in text and "@" not in text):
            return "names a file or directory of the machine it was written on; give a URL or an absolute path to a wheel"
        return "is not a requirement that pip understands"
    if match.group("url") and not _URL.fullmatch(match.group("url")):
        return "has an address that is not http, https, file or git"
    return ""


def _option_as_package(text: str) -> str:
    option = re.split(r"[\s=]", text, maxsplit=1)[0]
    if option in ("-r", "--requirement", "-c", "--constraint"):
        return f"is {option}, which names another file; write that file's lines here instead"
    if option in ("-e", "--editable"):
        return "is an editable install, whose directory another machine does not have; snapshot it or build a wheel"
    if option in PIP_OPTIONS:
        return f"is the pip option {option} where a package is expected; give it as a pip option (set_pip_option)"
    return f"is the option {option} where a package is expected"


def parse_requirement(line: str) -> Requirement:
    """Take a line apart that `requirement_problem` finds nothing against."""
    text = line.strip()
    match = _REQUIREMENT.fullmatch(_HASH.sub("", text))
    if match is None:
        return Requirement("", (), text)
    extras = match.group("extras") or "[]"
    names = tuple(sorted(canonical_name(e.strip()) for e in extras[1:-1].split(",") if e.strip()))
    return Requirement(canonical_name(match.group("name")), names, text)


def normal_requirement(line: str) -> str:
    """The line as it counts for what is installed: canonical name, no idle spaces."""
    text = line.strip()
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        return text
    requirement = parse_requirement(text)
    extras = "[{}]".format(",".join(requirement.extras)) if requirement.extras else ""
    version = match.group("version") or ""
    if match.group("url"):
        version = " @ " + match.group("url")
    else:
        version = ",".join(sorted(re.sub(r"[\s()]", "", version).split(",")))
    marker = " ".join((match.group("marker") or "").split())
    return requirement.name + extras + version + ("; " + marker if marker else "")


def is_option(line: Any) -> bool:
    return isinstance(line, str) and line.strip().startswith("-")


def split_option(line: str) -> Tuple[str, str]:
    """`--extra-index-url URL` or `--extra-index-url=URL` as (option, value)."""
    text = line.strip()
    match = re.match(r"(--[a-z-]+|-[a-z])(?:=|\s+|$)(.*)", text)
    return (match.group(1), match.group(2).strip()) if match else (text, "")


def option_problem(line: str) -> str:
    """Why `line` is not one pip option that an environment may give; empty when it is."""
    problem = _text_problem(line)
    if problem:
        return problem
    option, value = split_option(line)
    if option not in PIP_OPTIONS:
        return (
            f"is not a pip option that an environment may give; these are: {', '.join(sorted(PIP_OPTIONS))}"
        )
    if not PIP_OPTIONS[option]:
        return f"gives {option} a value, which it does not take" if value else ""
    if not value:
        return f"gives {option} no value"
    if not _OPTION_VALUE.fullmatch(value) or value.startswith("-"):
        return f"gives {option} a value that is not one plain word"
    if option in _URL_OPTIONS and not re.match(r"(?:https?|file)://", value):
        return f"gives {option} something that is not an http, https or file address"
    return ""


def without_secrets(line: str) -> str:
    """The line without a user name and password, or a conda channel's token, in an address: for logs and messages."""
    return re.sub(r"(://\S*?/t/)[^/\s]+", r"\1***", re.sub(r"(://)[^/@\s]+@", r"\1***@", line))


def conda_problem(line: str) -> str:
    """Why `line` is not one conda dependency, as the end of a sentence; empty when it is."""
    problem = _text_problem(line)
    if problem:
        return problem
    text = line.strip()
    if conda_package(text) is not None:
        return ""
    if re.search(r"(?:^|\s)--?[A-Za-z]", re.sub(r"^-c\s+", "", text)):
        return "holds an option; a conda dependency is a name with a version"
    if _CONDA.fullmatch(text) is None:
        return "is not a conda dependency (NAME, NAME=VERSION, NAME>=VERSION, CHANNEL::NAME)"
    return ""


def parse_conda(line: str) -> CondaDependency:
    """Take a line apart that `conda_problem` finds nothing against."""
    if conda_package(line) is not None:
        return CondaDependency(line.strip(), "", "")
    match = _CONDA.fullmatch(line.strip())
    assert match is not None, line
    return CondaDependency(
        match.group("name").lower(), match.group("channel") or "", (match.group("rest") or "").strip()
    )


def conda_package(line: str) -> Optional[CondaPackage]:
    """The package that a line gives by its address (`https://…/linux-64/NAME-VERSION-BUILD.conda#SHA256`), if it does."""
    match = _CONDA_PACKAGE.fullmatch(line.strip())
    return CondaPackage(**{k: v or "" for k, v in match.groupdict().items()}) if match else None


def first_problem(kind: str, lines: Iterable[Any], problem_of: Callable[[Any], str]) -> str:
    """A sentence about the first line that has a problem, empty when none has."""
    for line in lines:
        problem = problem_of(line)
        if problem:
            return f"{kind} {shown(line)} {problem}."
    return ""
