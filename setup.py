"""Builds the native part of fastcount; everything else is in pyproject.toml.

Switches (environment variables, each ``1`` to turn on):
    FASTCOUNT_DEBUG      asserts of our own and Cython's bounds checks, -O1 -g
    FASTCOUNT_SANITIZE   AddressSanitizer and UndefinedBehaviorSanitizer (see ``make asan``)
    FASTCOUNT_LINETRACE  line tracing, for coverage and profilers
    FASTCOUNT_PURE       no native part at all: the client and the codec work without it
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup


def switch(name: str) -> bool:
    return os.environ.get(f"FASTCOUNT_{name}", "0") not in ("", "0")


debug, sanitize, linetrace, pure = (switch(name) for name in ("DEBUG", "SANITIZE", "LINETRACE", "PURE"))
cflags = ["-std=c11", "-O1" if debug or sanitize else "-O3", "-g", "-fno-strict-aliasing", "-Wall"]
cflags += ["-Wno-unused-function"]  # inline functions of a .pxd that one module does not call
ldflags: list[str] = []
macros = [("_GNU_SOURCE", "1")]
if debug or sanitize:
    macros.append(("FC_DEBUG", "1"))
if sanitize:
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    cflags += flags
    ldflags += flags
if linetrace:
    macros.append(("CYTHON_TRACE_NOGIL", "1"))

extensions = [
    Extension(
        ".".join(path.relative_to("src").with_suffix("").parts),
        [str(path)],
        extra_compile_args=cflags,
        extra_link_args=ldflags,
        define_macros=macros,
    )
    for path in sorted(Path("src/fastcount").rglob("*.pyx"))
    if not pure
]
if not (extensions or pure):
    raise SystemExit("src/fastcount holds no .pyx to compile; FASTCOUNT_PURE=1 installs without the native part")

setup(
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython-" + ("debug" if debug or sanitize else "trace" if linetrace else "release"),
        compiler_directives={
            "language_level": 3,
            "boundscheck": debug or sanitize,
            "wraparound": False,
            "initializedcheck": debug or sanitize,
            "cdivision": True,
            "auto_pickle": False,
            "autotestdict": False,
            "embedsignature": True,
            "linetrace": linetrace,
            "freethreading_compatible": False,
        },
    )
)
