"""Files and the names in them: what `from x import y` and `is x` refer to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from cimarch import share
from cimarch.diagnostics import DescriptionError, Diagnostic, Problems, Span, listing, suggestion
from cimarch.language import ast
from cimarch.language.parse import LONGEST_TEXT, parse

STANDARD = "std"
_SUFFIX = ".cimarch"
_DEEPEST_INHERITANCE = 50
_MOST_IMPORTED = 2 * LONGEST_TEXT
"""Characters of all files that a description is made of, and the files."""
_MOST_FILES = 200
MOST_BYTES = 4 * LONGEST_TEXT


@attrs.define(eq=False)
class Definition:
    """A component or system, with what it inherits."""

    name: str
    tree: ast.Component
    module: Module
    base: Definition | None = None

    def chain(self) -> list[Definition]:
        """What it derives from, the most basic first, itself last."""
        found: list[Definition] = []
        definition: Definition | None = self
        while definition is not None:
            found.append(definition)
            definition = definition.base
        return found[::-1]

    @property
    def is_standard(self) -> bool:
        """Whether it is declared in the library."""
        return self.module.is_standard

    def kind(self) -> str:
        """The component of the library that it is at the bottom."""
        return next((d.name for d in reversed(self.chain()) if d.is_standard), "block")

    def members(self) -> Iterator[tuple[Definition, ast.Member]]:
        """All members, inherited ones first, each with the definition that holds it."""
        for definition in self.chain():
            for member in definition.tree.body:
                yield definition, member


@attrs.define(eq=False)
class Module:
    """One file: its tree, and the components that can be named in it."""

    name: str
    tree: ast.Tree
    folder: Path | None
    is_standard: bool
    names: dict[str, Definition] = attrs.field(factory=dict)
    own: dict[str, Definition] = attrs.field(factory=dict)
    broken: set[str] = attrs.field(factory=set)
    """Names whose import or declaration failed: told once, not again at every use."""


class Library:
    """Reads files, each once, and ties the names in them together."""

    def __init__(self) -> None:
        self.problems = Problems()
        self._characters = 0
        self.sources: list[tuple[str, str]] = []
        self._modules: dict[str, Module | None] = {}
        self._reading: list[str] = []
        self._standard: Module | None = None

    @property
    def standard(self) -> Module:
        """The standard library."""
        if self._standard is None:
            found = self._read_file(share.folder("architectures") / "std.cimarch", None)
            if found is None:
                raise DescriptionError(*self.problems)
            self._standard = found
        return self._standard

    def read_main(self, path: Path) -> Module:
        """Read the file that a user names; raises DescriptionError for what is no tree."""
        module = self._read_file(path, None)
        if module is None:
            raise DescriptionError(*self.problems)
        return module

    def read_text(self, text: str, file: str, folder: Path | None) -> Module:
        """Read a file's text; raises DescriptionError for what no tree can be made of."""
        tree = parse(text, file)
        self.sources.append((file, hashlib.sha256(text.encode("utf-8")).hexdigest()))
        is_standard = folder == share.folder("architectures") and Path(file).stem == STANDARD
        module = Module(Path(file).stem, tree, folder, is_standard)
        self._import_all(module)
        self._declare(module)
        self._derive(module)
        return module

    def _problem(
        self,
        code: str,
        headline: str,
        span: Span | None,
        others: tuple[tuple[Span, str], ...] = (),
        notes: tuple[str, ...] = (),
        helps: tuple[str, ...] = (),
    ) -> None:
        problem = Diagnostic(code, headline, span, others=others, notes=notes, helps=helps)
        self.problems.append(problem)

    # imports

    def _import_all(self, module: Module) -> None:
        for line in module.tree.imports:
            source = self._find(line.module, module)
            if source is None:
                module.broken |= {w.text for w in line.names}
                continue
            for word in line.names:
                self._import_name(module, source, line.module.text, word)

    def _import_name(self, module: Module, source: Module, path: str, word: ast.Word) -> None:
        if word.text in module.names:
            self._problem("E011", f"`{word.text}` is imported twice", word.span)
        elif word.text in source.own:
            module.names[word.text] = source.own[word.text]
        else:
            module.broken.add(word.text)
            headline = f"`{path}` has no component `{word.text}`"
            helps = suggestion(word.text, source.own)
            notes = (f"its components are {listing(source.own)}",) if source.own else ()
            self._problem("E010", headline, word.span, notes=notes, helps=helps)

    def _find(self, path: ast.Word, module: Module) -> Module | None:
        """The module of a dotted path: beside the file, then in the library's folder."""
        if path.text == STANDARD:
            return self.standard
        relative = Path(*path.text.split(".")).with_suffix(_SUFFIX)
        folders = [f for f in (module.folder, share.folder("architectures")) if f is not None]
        found = next((f / relative for f in folders if (f / relative).is_file()), None)
        if found is None:
            beside = f"`{relative}` is neither beside this file nor in cimarch's `architectures`"
            self._problem("E012", f"there is no file for `{path.text}`", path.span, notes=(beside,))
            return None
        return self._read_file(found, path)

    def _read_file(self, path: Path, by: ast.Word | None) -> Module | None:
        key = str(path.resolve())
        if key in self._reading:
            names = [Path(k).stem for k in self._reading[self._reading.index(key) :]]
            ring = " -> ".join(f"`{n}`" for n in [*names, path.stem])
            self._problem("E013", f"files import each other: {ring}", by.span if by else None)
            return None
        if key not in self._modules:
            self._reading.append(key)
            try:
                text = read(path)
                self._count(text, path)
                self._modules[key] = self.read_text(text, display(path), path.parent)
            except DescriptionError as error:
                self.problems.extend(error.diagnostics)
                self._modules[key] = None
            finally:
                self._reading.pop()
        return self._modules[key]

    def _count(self, text: str, path: Path) -> None:
        """Refuse a description of more files, or longer ones, than anybody writes."""
        self._characters += len(text)
        if len(self._modules) > _MOST_FILES:
            headline = f"`{display(path)}` is one of more than {_MOST_FILES} files"
        elif self._characters > _MOST_IMPORTED:
            headline = f"with `{display(path)}` there are more than {_MOST_IMPORTED:,} characters"
        else:
            return
        raise DescriptionError(Diagnostic("E003", headline, notes=("files import files",)))

    # declarations

    def _declare(self, module: Module) -> None:
        for tree in module.tree.components:
            name = tree.name
            if name.text in module.own:
                first = module.own[name.text].tree.name.span
                self._problem(
                    "E011",
                    f"`{name.text}` is declared twice",
                    name.span,
                    others=((first, "declared here first"),),
                )
            elif name.text in module.names:
                self._problem("E011", f"`{name.text}` is both imported and declared", name.span)
            else:
                definition = Definition(name.text, tree, module)
                module.own[name.text] = module.names[name.text] = definition

    def _derive(self, module: Module) -> None:
        for definition in module.own.values():
            definition.base = self._base(definition)
        for definition in module.own.values():
            self._check_chain(definition)

    def _base(self, definition: Definition) -> Definition | None:
        tree = definition.tree
        if tree.base is not None:
            found = self.resolve(tree.base, definition.module)
            return found or self._default_base(definition)
        return self._default_base(definition)

    def _default_base(self, definition: Definition) -> Definition | None:
        if definition.is_standard:
            return definition.module.own["block"] if definition.name != "block" else None
        return self.standard.own["chip" if definition.tree.is_system else "block"]

    def _check_chain(self, definition: Definition) -> None:
        seen = [definition]
        while (base := seen[-1].base) is not None:
            if base is definition or len(seen) > _DEEPEST_INHERITANCE:
                names = " -> ".join(f"`{d.name}`" for d in [*seen[:3], definition])
                ring = f"`{definition.name}` derives from itself: {names}"
                deep = f"`{definition.name}` derives over more than {_DEEPEST_INHERITANCE} levels"
                span = (definition.tree.base or definition.tree.name).span
                self._problem("E014", ring if base is definition else deep, span)
                definition.base = self._default_base(definition)
                return
            if base in seen:  # the ring is further down, and told there
                return
            seen.append(base)

    def resolve(self, path: ast.Word, module: Module) -> Definition | None:
        """The component that a type's name means in a file; None after a diagnostic."""
        module_path, _, name = path.text.rpartition(".")
        if module_path:
            word = ast.Word(module_path, path.span)
            source = self._find(word, module)
            if source is None:
                return None
            if name in source.own:
                return source.own[name]
            helps = suggestion(name, source.own)
            self._problem(
                "E010", f"`{module_path}` has no component `{name}`", path.span, helps=helps
            )
            return None
        if name in module.names:
            return module.names[name]
        if name not in module.broken:
            self._unknown(name, path.span, module)
        return None

    def _unknown(self, name: str, span: Span, module: Module) -> None:
        if name in self.standard.own:
            helps: tuple[str, ...] = (f"`from std import {name}`",)
        else:
            helps = suggestion(name, [*module.names, *self.standard.own])
        self._problem("E010", f"there is no component `{name}` here", span, helps=helps)


def read(path: Path) -> str:
    """The text of a file; DescriptionError where it cannot be read or is no text."""
    told = display(path)
    try:
        if path.is_dir():
            raise DescriptionError(Diagnostic("E004", f"`{told}` is a folder, not a file"))
        if not path.is_file():
            raise DescriptionError(Diagnostic("E004", f"`{told}` is not a regular file"))
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DescriptionError(
            Diagnostic("E004", f"`{told}` cannot be read: {reason.lower()}")
        ) from None
    return decode(raw, told)


def decode(raw: bytes, told: str) -> str:
    """The text of a file's bytes; DescriptionError where they are too many or no text."""
    if len(raw) > MOST_BYTES:
        limit = f"`{told}` has more than {MOST_BYTES:,} bytes"
        raise DescriptionError(Diagnostic("E003", limit))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        byte = f"line {line} has the byte 0x{raw[error.start]:02X} where no character can be"
        raise DescriptionError(
            Diagnostic("E003", f"`{told}` is not UTF-8 text", notes=(byte,))
        ) from None


def display(path: Path) -> str:
    """A path as reports and diagnostics show it: the same wherever cimarch is installed."""
    library = share.folder("architectures")
    try:
        return (Path(library.name) / path.resolve().relative_to(library)).as_posix()
    except (ValueError, OSError, RuntimeError):
        return os.path.normpath(path).replace(os.sep, "/")


def locate(name: str | os.PathLike[str]) -> Path:
    """The file of an architecture: a path, else a name in cimarch's own `architectures`."""
    text = os.fspath(name)
    path = Path(text)
    if "\0" in text or not text:
        raise DescriptionError(Diagnostic("E004", f"`{text!r}` is not the name of a file"))
    if _is_file(path):
        return path
    folder = share.folder("architectures")
    known = sorted(p.stem for p in folder.glob("*" + _SUFFIX) if p.stem != STANDARD)
    plain = path.name.removesuffix(_SUFFIX)
    if plain in [*known, STANDARD] and path.parent.as_posix() in (".", "architectures"):
        return folder / (plain + _SUFFIX)
    if _exists(path):
        return path
    raise DescriptionError(
        Diagnostic(
            "E004",
            f"there is no file `{text}`",
            notes=(f"the architectures that come with cimarch are {listing(known)}",),
            helps=suggestion(plain, known),
        )
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
