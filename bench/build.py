"""Compiles bench/native/*.c into bench/build/, again whenever a source is newer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "native"
BUILD = HERE / "build"
PROGRAMS = ("udpgen", "bound", "httplat")
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]


def program(name: str) -> Path:
    """Path of a program of the bench, compiled if need be. RuntimeError, with the compiler's words, if it fails."""
    source, target = SOURCES / f"{name}.c", BUILD / name
    newest = max(path.stat().st_mtime for path in (source, *SOURCES.glob("*.h")))
    if target.exists() and target.stat().st_mtime >= newest:
        return target
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise RuntimeError("no C compiler: install gcc, or set CC")
    BUILD.mkdir(exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")  # two runs at once never see half a program
    done = subprocess.run(
        [*compiler.split(), *FLAGS, "-o", str(partial), str(source), "-lm"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name}.c does not compile:\n{done.stderr}")
    os.replace(partial, target)
    return target


if __name__ == "__main__":
    for each in PROGRAMS:
        sys.stdout.write(f"{program(each)}\n")
