"""The files of an optimisation: the model, what a run keeps on its way, tables and pictures."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from cimarch.cli.output import check_folder, check_writable, make_folder, named_place, write_whole
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.report.files import reason, unwritable

if TYPE_CHECKING:
    from cimarch.hardware.system import System
    from cimarch.optimize.frame.model import Model
    from cimarch.optimize.frame.record import Record

ASKED = "asked.json"
"""What makes a folder one of a run (`cimarch.optimize.frame.going`)."""


@attrs.frozen
class Outputs:
    """Where everything goes."""

    model: Path
    kept: Path
    tables: Path | None
    pictures: tuple[Path, ...]

    @classmethod
    def of(
        cls, model: str, kept: str | None, tables: str | None, pictures: tuple[str, ...]
    ) -> Outputs:
        """The places that flags name; what a run keeps lies beside its model without one."""
        out = named_place("--output", model) or Path(model)
        return cls(
            out,
            named_place("--kept", kept) or out.parent / f"{out.name}.kept",
            named_place("--csv", tables),
            tuple(named_place("--plot", each) or Path(each) for each in pictures),
        )

    def check(self) -> None:
        """Find before the run what would fail after it."""
        check_writable(self.model)
        check_pictures(self.pictures)
        check_folder(self.kept)
        _check_kept(self.kept)
        if self.tables is not None:
            check_folder(self.tables)

    def write(self, model: Model, system: System) -> None:
        """Write the model and what goes with it, each file whole; then drop what was kept."""
        model.save(self.model)
        write_tables(self.tables, model)
        write_pictures(self.pictures, model, system)
        self.drop()

    def drop(self) -> None:
        """Remove what the run has kept."""
        if (self.kept / ASKED).is_file():
            shutil.rmtree(self.kept, ignore_errors=True)


def write_tables(folder: Path | None, model: Model) -> None:
    """The tables of the last record as CSV."""
    if folder is None:
        return
    from cimarch.optimize.telling.tables import texts

    make_folder(folder)
    for name, text in texts(model.records[-1]).items():
        write_whole(folder / name, text)


def write_pictures(places: tuple[Path, ...], model: Model, system: System) -> None:
    """The pictures of what was done, each in the form that its name asks for."""
    if not places:
        return
    from cimarch.optimize.telling.pictures import drawn
    from cimarch.report.pictures import form_of

    for place in places:
        write_whole(place, drawn(model, form_of(place), system=system))


def check_pictures(places: tuple[Path, ...]) -> None:
    """Raise DescriptionError where a picture of some name, or any, cannot be drawn."""
    if not places:
        return
    from cimarch.report.pictures import DATES, check_form, form_of

    for place in places:
        if form_of(place) not in DATES:
            raise DescriptionError(
                Diagnostic(
                    "E445",
                    f"--plot {place}: not a name of a picture",
                    notes=("pictures end in .svg, .pdf, .png",),
                    helps=(f"`--plot {place.stem or 'record'}.svg`",),
                )
            )
        check_form(place, "--plot")
        check_writable(place)


def _check_kept(folder: Path) -> None:
    """Raise DescriptionError where a folder holds files that are not a run's."""
    try:
        names = [each.name for each in folder.iterdir()] if folder.exists() else []
    except OSError as error:
        raise DescriptionError(unwritable(folder, reason(error))) from None
    there = sorted(name for name in names if not name.startswith(f".{ASKED}."))  # killed early
    if there and ASKED not in there:
        raise DescriptionError(
            Diagnostic(
                "E455",
                f"`{folder}` holds files that no run has kept, `{there[0]}` among them",
                notes=("a run removes its folder when it is done",),
                helps=(f"name an empty folder, or none: `--kept {folder / 'kept'}`",),
            )
        )


def write_pictures_of_records(
    places: tuple[Path, ...], found: list[tuple[str, tuple[Record, ...]]]
) -> None:
    """The last record of one file; of several files, their accuracies against what is left.

    Raises DescriptionError where there is nothing to draw.
    """
    if not places:
        return
    from cimarch.optimize.telling.pictures import of_points, of_record
    from cimarch.optimize.telling.points import points
    from cimarch.report.pictures import form_of

    last = [done[-1] for _, done in found if done]
    shown = points(last) if len(found) > 1 else []
    if not last or (len(found) > 1 and not any(point.left for point in shown)):
        raise DescriptionError(
            Diagnostic("E457", "nothing is to be drawn: no accuracy, or nothing it stands against")
        )
    for place in places:
        form = form_of(place)
        write_whole(place, of_points(shown, form) if shown else of_record(last[0], form))
