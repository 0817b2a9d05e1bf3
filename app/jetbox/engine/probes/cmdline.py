"""Which files of the workspace a command line runs, as far as that can be told from it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

SHELL = r"(?:ba|da|z|k|mk|a|fi)?sh"
INTERPRETER = re.compile(
    rf"{SHELL}|(?:python|pypy|lua)[\d.]*|node|nodejs|deno|bun|tsx|ts-node|ruby|perl|php|Rscript|julia|tclsh|pwsh"
)
"""Programs that run a file which one of their words names, or text."""
WRAPPERS = frozenset(
    """
    builtin bundle bunx busybox command doas env exec flock hatch ionice nice nohup npx parallel pdm pipenv poetry
    setsid stdbuf strace sudo time timeout uv uvx watch xargs
    """.split()  # noqa: SIM905 a list of words is easier to read so
)
"""Programs that run what one of their words names."""
LEADING = frozenset(("{", "}", "!", "if", "then", "elif", "else", "while", "until", "do", "time", "function", "coproc"))
"""Words of the shell that stand before a command."""
UNCLEAR = frozenset(("alias", "eval", "trap"))
"""Words of the shell that have it run text."""
FOLDERS = frozenset(("-C", "--chdir", "--cwd", "--directory", "--prefix"))
"""Options of many programs that say which folder to work in."""
ENTRIES = ("__main__", "__init__", "index")
"""Files that are run where their folder is named."""

_OPEN = re.compile(r"[$*?\[\]`]|^~|\{\}")
"""What stands for other words than it is."""
_ASSIGNED = re.compile(r"\w+\+?=.*", re.DOTALL)
_SEARCHED = re.compile(r"(\w*PATH|RUBYLIB|PERL5LIB)\+?=(.*)", re.DOTALL)
"""Variables that hold folders in which programs, modules and other folders are looked for."""
_WRITES = re.compile(r"(?:&?>>?|>[&|])|<>?&?|<<<")
_TEXT_OF_SHELLS = re.compile(r"-[a-zA-Z]*c[a-zA-Z]*")
_TEXT_OF_PYTHON = re.compile(r"-[bBdEiIOPqRsSuvx]*c.*|-")
_TEXT_OF_OTHERS = re.compile(r"-[a-zA-Z0-9]*[eEprR].*|--?eval.*|--print.*|-")
_MOST_FOLDERS = 16


class Line(msgspec.Struct):
    """A command line as it is read, bit by bit."""

    words: list[str] = []
    folders: list[str] = msgspec.field(default_factory=lambda: [""])
    """Where it may look for a file that a word names."""
    modules: list[str] = []
    places: list[str] = []
    """Folders beside those of the path in which programs are looked for."""
    clear: bool = True
    """False where something is run that no word names."""

    def shell(self, text: str) -> None:
        """Take in what a shell is to run."""
        import shlex

        if "`" in text:
            self.clear = False
        lexer = shlex.shlex(text.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            tokens = list(lexer)
        except ValueError:
            self.clear = False
            return
        for words in _commands(tokens):
            self.command(words, quoted=False)

    def command(self, words: Sequence[str], *, quoted: bool = True) -> None:
        """Take in one command; `quoted`: no shell has a look at its words."""
        self.words += words
        for found in filter(None, map(_SEARCHED.fullmatch, words)):
            self._search(found[1], found[2])
        words = list(words)
        while words and (words[0] in LEADING or _ASSIGNED.fullmatch(words[0])):
            del words[0]
        if not words:
            return
        first = words[0]
        unsure = not quoted and any(map(_open, words))
        runs_others = first in (".", "source") or first in WRAPPERS
        executed = [after for word, after in pairwise(words) if word in ("-exec", "-execdir", "-ok")]
        if (
            first in UNCLEAR
            or (unsure and (runs_others or _open(first) or any("$(" in word for word in words)))
            or any(map(_open, executed))
        ):
            self.clear = False
        if first in ("cd", "pushd"):
            self._move(words[-1], sure=len(words) == 2 and not _open(words[1]) and words[1] != "-")
        for word, after in pairwise(words):
            if word in FOLDERS:
                self._move(after, sure=quoted or not _open(after))
        for word in words:
            # It can be for a shell that somebody else starts.
            if len(parts := word.split()) > 1:
                self.words += parts
                if any(map(_interpreter, parts)):
                    self.shell(word)
        at = next((at for at, word in enumerate(words) if _interpreter(word)), None)
        if at is not None:
            self._interpreted(_interpreter(words[at]), words[at + 1 :], unsure=unsure)

    def _search(self, name: str, value: str) -> None:
        """Things are looked for in these folders too, from here on."""
        for place in value.split(":"):
            plain = place.removeprefix("$PWD/").removeprefix("${PWD}/")
            if plain not in ("", f"${name}", f"${{{name}}}"):
                self._move(plain, sure=not _open(plain))
                self.places += [plain] if name == "PATH" and plain.startswith("/") else []

    def _move(self, folder: str, *, sure: bool) -> None:
        if not sure or len(self.folders) > _MOST_FOLDERS:
            self.clear = False
        else:
            moved = (os.path.join(above, folder) for above in self.folders)
            self.folders = list(dict.fromkeys((*self.folders, *moved)))

    def _interpreted(self, name: str, words: list[str], *, unsure: bool) -> None:
        shell, python = re.fullmatch(SHELL, name), name.startswith(("python", "pypy"))
        text = _TEXT_OF_SHELLS if shell else _TEXT_OF_PYTHON if python else _TEXT_OF_OTHERS
        texts = [at for at, word in enumerate(words) if text.fullmatch(word)]
        operands = [word for word in words if not word.startswith("-")]
        if shell and texts and operands:
            rest = [word for word in words[texts[0] + 1 :] if not word.startswith("-")]
            self.shell((rest or operands)[0])
            return
        modules = [after for word, after in pairwise(words) if word == "-m"]
        modules += [word[2:] for word in words if re.fullmatch(r"-m\w.*", word)]
        if unsure or texts or not (operands or modules):
            self.clear = False
        self.modules += modules


class Runs(msgspec.Struct, frozen=True):
    """What a command line runs."""

    clear: bool
    """False where that cannot be told: any file may be."""
    named: frozenset[str]
    """Paths that its words may stand for, relative to the workspace, which itself is `.`."""
    places: tuple[str, ...] = ()
    """Folders elsewhere in which programs are looked for beside those of the path."""

    def takes(self, path: str) -> bool:
        """True for a file that is named, by its path, without its suffix, or by its folder."""
        folder, slash, name = path.rpartition("/")
        stem = name.rpartition(".")[0]
        named = self.named
        return path in named or folder + slash + stem in named or (stem in ENTRIES and (folder or ".") in named)


def runs(command: str | Sequence[str], root: str) -> Runs:
    """Read a command that is run in this folder: a text by the shell, or words as they are."""
    line = Line()
    if isinstance(command, str):
        line.shell(command)
    else:
        line.command(command)
    plain = {part for word in line.words for part in (word, word.rpartition("=")[2], _attached(word)) if part}
    for module in line.modules:
        parts = module.split(".")
        plain.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))
    named = {_inside(os.path.join(root, folder, word), root) for folder in line.folders for word in plain}
    places = tuple(place for place in dict.fromkeys(line.places) if not _inside(place, root))
    return Runs(line.clear, frozenset(named - {""}), places)


def _commands(tokens: list[str]) -> Iterator[list[str]]:
    """The commands between operators, without what they write to."""
    words: list[str] = []
    skip = False
    for token, following in pairwise([*tokens, ";"]):
        if skip:
            skip = False
        elif _WRITES.fullmatch(token):
            skip = ">" in token
        elif set(token) <= set("();&|<>"):
            yield words
            words = []
        elif not (token.isdigit() and following[0] in "<>"):
            words.append(token)
    yield words


def _interpreter(word: str) -> str:
    """The name of an interpreter; empty for another word."""
    name = word.rpartition("/")[2]
    return name if INTERPRETER.fullmatch(name) else ""


def _open(word: str) -> bool:
    return word not in ("[", "[[", "]", "]]") and _OPEN.search(word) is not None


def _attached(word: str) -> str:
    """The value that stands right behind an option's letter."""
    return word[2:] if word[:1] == "-" and word[1:2] != "-" else ""


def _inside(path: str, root: str) -> str:
    """A path as that of a file of the workspace; empty where it cannot be one."""
    found = os.path.normpath(path)
    if found == root:
        return "."
    return found[len(root) + 1 :] if found.startswith(f"{root}/") else ""
