"""One case at a time in a process of its own, with little memory and little time.

A case is a dict of plain values: `work` names an entry of `WORKS`, `files` (name to text, or to
base64 behind `base64:`) are written into an empty folder first, the rest are its arguments. The
allowed answers are `done` and `refused` (a DescriptionError that can be shown); everything else is
a find: another exception, too much memory, too much time, a process that died.

`python bounded.py` is the process: it reads cases as lines of JSON and answers in kind.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

MEMORY = 1 << 30
"""Bytes that a case may take beyond what the loaded library does."""
SECONDS = 2.0
"""Of the processor that reading anything may take."""
PATIENCE = 30.0
"""Seconds of waiting after which a case hangs."""

Case = Mapping[str, Any]


@attrs.frozen
class Answer:
    """How a case ended."""

    outcome: str
    """`done`, `refused`, `crash`, `killed`, `hang`."""
    seconds: float = 0.0
    codes: tuple[str, ...] = ()
    told: str = ""
    """What a user would read, or the traceback."""
    place: str = ""
    """Of a crash: the exception, and the innermost function of cimarch."""

    def find(self, seconds: float = SECONDS) -> str:
        """What is wrong with the answer; empty where it is allowed."""
        if self.outcome not in ("done", "refused"):
            return f"{self.outcome} {self.place}".strip()
        return "slow" if self.seconds > seconds else ""


class Worker:
    """The process that takes cases; made anew after one that it did not survive.

    `ready` names what is loaded before memory is counted: `simulate` or `torch`.
    """

    def __init__(self, *ready: str, memory: int = MEMORY) -> None:
        self._arguments = [str(memory), *ready]
        self._process: subprocess.Popen[str] | None = None

    def ask(self, case: Case, patience: float = PATIENCE) -> Answer:
        """Do one case."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
        if not select.select([process.stdout], [], [], patience)[0]:
            self.close()
            return Answer("hang", patience)
        line = process.stdout.readline()
        if not line:
            process.wait()
            self._process = None
            return Answer("killed", place=f"exit {process.returncode}")
        answer = json.loads(line)
        if answer["place"].startswith("MemoryError"):
            self.close()  # what is left of the process is not to be relied on
        return Answer(**{**answer, "codes": tuple(answer["codes"])})

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
            )
            assert self._process.stdout is not None
            if self._process.stdout.readline() != "ready\n":
                raise RuntimeError("the library cannot be loaded")
        return self._process


# ------------------------------------------------------------------- the process


def _load(case: Case) -> None:
    import cimarch

    cimarch.load(case["path"], set=case.get("set"))


def _loads(case: Case) -> None:
    import cimarch

    cimarch.loads(case["text"], set=case.get("set"))


def _network(case: Case) -> None:
    import cimarch

    network = cimarch.read_network(
        case["path"], case.get("model"), case.get("input"),
        allow_unmapped=bool(case.get("allow_unmapped")),
    )  # fmt: skip
    assert network.operations


def _simulate(case: Case) -> None:
    import cimarch

    system = cimarch.load(case["path"], set=case.get("set"))
    network = cimarch.read_network(case["network"])
    report = cimarch.simulate(system, network, **case.get("options", {}))
    json.dumps(report.to_dict(), allow_nan=False)


def _cli(case: Case) -> None:
    from cimarch.cli import main

    code = main(case["arguments"])
    if code == 2:
        raise _Refused
    assert code == 0 or (code == 1 and "--check" in case["arguments"]), f"exit code {code}"


def _format(case: Case) -> None:
    from fmt_laws import check_laws

    check_laws(case["text"])


WORKS: dict[str, Callable[[Case], None]] = {
    "load": _load,
    "loads": _loads,
    "network": _network,
    "simulate": _simulate,
    "cli": _cli,
    "format": _format,
}


class _Refused(Exception):
    """The command line told of a mistake."""


def _answer(case: Case) -> Answer:
    from cimarch import DescriptionError

    begin = time.process_time()
    codes: tuple[str, ...] = ()
    told, place, outcome = "", "", "done"
    screen = io.StringIO()
    try:
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            try:
                WORKS[case["work"]](case)
            except DescriptionError as error:
                outcome, told = "refused", _shown(error)
                codes = tuple(problem.code for problem in error.diagnostics[:1000])
            except _Refused:
                outcome = "refused"
    except BaseException as error:  # every way in which a case may end is an answer
        outcome, place = "crash", _innermost(error)
        told = "".join(traceback.format_exception(error, limit=-12))[-6000:]
    told = told or screen.getvalue()
    return Answer(outcome, time.process_time() - begin, codes, told[:20_000], place)


def _shown(error: Any) -> str:
    """What a user reads of a refusal; whatever cannot be shown is a bug."""
    assert error.diagnostics, "a refusal without a diagnostic"
    text: str = error.render()
    assert text.startswith("error[E"), text[:80]
    assert len(text) < 1_000_000, f"{len(text)} characters are told"
    assert error.render(colour=True)
    text.encode("utf-8")
    json.dumps([problem.to_dict() for problem in error.diagnostics], allow_nan=False)
    for problem in error.diagnostics:
        assert problem.headline
        assert "\n" not in problem.headline, repr(problem.headline)
    return text


def _innermost(error: BaseException) -> str:
    """The exception's type and the last function of cimarch in its traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "cimarch" in Path(f.filename).parts[:-1]] or list(frames)
    where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else ""
    return f"{type(error).__name__} in {where}"


@contextlib.contextmanager
def _folder(files: Mapping[str, str]) -> Iterator[None]:
    """An empty folder with some files, to be in."""
    place = tempfile.mkdtemp(prefix="case")
    try:
        for name, content in files.items():
            path = Path(place, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(decoded(content))
        os.chdir(place)
        yield
    finally:
        os.chdir("/")
        shutil.rmtree(place, ignore_errors=True)


def decoded(content: str) -> bytes:
    """The bytes of a file of a case."""
    if content.startswith("base64:"):
        return base64.b64decode(content.removeprefix("base64:"))
    return content.encode("utf-8", "surrogatepass")


def encoded(data: bytes) -> str:
    """Bytes as a file of a case: text where they are."""
    with contextlib.suppress(UnicodeDecodeError):
        text = data.decode("utf-8")
        if not text.startswith("base64:"):
            return text
    return "base64:" + base64.b64encode(data).decode("ascii")


def _warm(ready: Sequence[str]) -> None:
    """Import and compile what cases need, so that the first is as fast as the second."""
    import cimarch

    chip = "from std import crossbar\nsystem A {\nclock = 1 GHz\npart x[4]: crossbar\n}\n"
    rows = [{"kind": "linear", "inputs": 4, "outputs": 4, "invocations": 2}]
    system, network = cimarch.loads(chip), cimarch.Network.from_table(rows)
    if "simulate" in ready:
        cimarch.simulate(system, network)
    if "torch" in ready:
        import torch

        cimarch.trace(torch.nn.Linear(4, 4), torch.zeros(1, 4))


def serve(memory: int, ready: Sequence[str]) -> None:
    """Answer cases until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _warm(ready)
    status = Path("/proc/self/status").read_text()
    taken = int(next(line.split()[1] for line in status.splitlines() if "VmSize" in line)) << 10
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        case = json.loads(line)
        with _folder(case.get("files", {})):
            answer = _answer(case)
        answers.write(json.dumps(attrs.asdict(answer)) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
