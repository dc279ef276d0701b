"""Files that are written whole: what stands at their place before decides how."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from cimarch.cli.output import write_whole
from cimarch.diagnostics import DescriptionError


def test_a_file_takes_the_place_of_another_whole(tmp_path: Path) -> None:
    place = tmp_path / "report.json"
    place.write_text("before")
    write_whole(place, "after")
    assert place.read_text() == "after"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    place, link = tmp_path / "kept" / "report.json", tmp_path / "latest.json"
    place.write_text("before")
    link.symlink_to(place)
    write_whole(link, "after")
    assert link.is_symlink()
    assert place.read_text() == "after"


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "through")
    reader.join(10)
    assert read == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_is_no_place_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match="cannot be written"):
        write_whole(tmp_path, "text")
    assert os.listdir(tmp_path) == []
