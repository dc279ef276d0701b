"""Run every benchmark of docs/benchmarks.md: `python benchmarks/record.py [--write]`.

The page holds each one as a block of text that begins with its command; `--write` puts the new
output below the commands, once all of them are done.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BLOCK = re.compile(r"^```text\n\$ python (benchmarks/.*)\n(?:.*\n)*?```$", re.MULTILINE)


def output(command: str) -> str:
    """Run a script with this interpreter, print what it prints, and return it."""
    print(f"\n$ python {command}", flush=True)
    pieces = []
    with subprocess.Popen(
        [sys.executable, *shlex.split(command)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            pieces.append(line)
    if process.returncode:
        sys.exit(f"python {command} ended with {process.returncode}")
    return "".join(pieces)


def main(write: bool) -> None:
    page = PAGE.read_text()
    found = {command: output(command) for command in BLOCK.findall(page)}
    if write:
        PAGE.write_text(BLOCK.sub(lambda m: f"```text\n$ python {m[1]}\n{found[m[1]]}```", page))
        print(f"\nwritten to {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
