"""Commands that are killed, for test_kill.py: a process that does one after the other, in forks.

`python killed.py` reads cases as lines of JSON and answers each with one: `arguments` of cimarch,
`folder` to be in, and when to kill: `seconds` after the fork, or at the line of code that is the
`line`-th to run in the files that write (`WRITERS`); without either it is let run. `careless`
commands write their files in place, which is what the test must find. The answer has
its exit status (negative: the signal), the seconds and the lines that it ran.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

WRITERS = ("report/files.py", "cli/output.py", "report/recording.py", "report/chrome.py")
"""Whose lines are counted."""


@contextmanager
def in_place(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """What writes a file carelessly: half of it is there when the process ends in between."""
    with path.open("wb") as file:
        yield file


class Lines:
    """Counts the lines that run in some files, and kills the process at one of them."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.count = 0

    def follow(self, frame: FrameType, event: str, argument: object) -> Any:
        """Follow the functions of those files, line by line."""
        if not frame.f_code.co_filename.endswith(WRITERS):
            return None
        if event == "line":
            self.count += 1
            if self.count == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.follow


def do(case: Mapping[str, Any], answers: int) -> int:
    """Run the command in this process; its exit code."""
    from cimarch.cli import main, output

    register(case)
    os.chdir(case["folder"])
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    if case.get("careless"):
        output.whole = in_place
    lines = Lines(case.get("line", 0))
    if "line" in case:
        sys.settrace(lines.follow)
    code = main(case["arguments"])
    sys.settrace(None)
    os.write(answers, str(lines.count).encode())
    return code


def register(case: Mapping[str, Any]) -> None:
    """Make the method of the tests a command, where a case asks for it."""
    if case.get("toy"):
        from cimarch.optimize import METHODS
        from toy_method import METHOD

        METHODS["toy"] = METHOD


def kill(case: Mapping[str, Any]) -> dict[str, Any]:
    """Run a command in a fork, and kill it when its time has come."""
    counted, told = os.pipe()
    begin = time.perf_counter()
    child = os.fork()
    if not child:
        os.close(counted)
        os._exit(do(case, told))
    os.close(told)
    if "seconds" in case:
        time.sleep(case["seconds"])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    lines = os.read(counted, 20)
    os.close(counted)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": time.perf_counter() - begin,
        "lines": int(lines or 0),
    }


def main(warm: list[str]) -> None:
    """Load what commands need, then answer cases until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in warm:
        case = json.loads(line)
        Path(case["folder"]).mkdir(exist_ok=True)
        os.chdir(case["folder"])
        from cimarch.cli import main as command

        register(case)
        assert command(case["arguments"]) == 0
    for line in sys.stdin:
        answers.write(json.dumps(kill(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
