"""sdist and wheel: the one builds the other, and what it installs runs where there is no checkout."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Running, serving

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "fastcount"
SHIPPED = {".py", ".pyi", ".pxd", ".typed", ".html", ".js", ".css", ".svg", ".LICENSE"}

pytestmark = pytest.mark.timeout(900)  # it compiles


def quiet(*command: str | Path, cwd: Path, **extra: str) -> str:
    """Run a command without any setting of ours; returns its standard output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FASTCOUNT_", "PYTHON"))}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=kept | extra, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def sources(*suffixes: str) -> set[str]:
    """Files of the package, as a wheel names them."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(PACKAGE.parent)) for path in files if path.suffix in suffixes}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist, and the wheel that was built from it alone."""
    out = tmp_path_factory.mktemp("dist")
    (out / "extra.cfg").write_text("[build_ext]\nparallel = 2\n")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT)
    quiet(*build, cwd=out, DIST_EXTRA_CONFIG=str(out / "extra.cfg"), FASTCOUNT_DEBUG="1")  # with -O1: in half the time
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that has the wheel, and of ours only what we depend on."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    (wheel,) = built.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", home / "bin/python", "--disable-pip-version-check", "install")
    quiet(*pip, "--no-index", "--no-deps", wheel, cwd=home)
    # a folder that is named in a .pth has no .pth of its own read: the editable install in it stays out of sight
    (library,) = home.glob("lib/python3*/site-packages")
    (library / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_the_sdist_holds_sources_only(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    expected = {f"src/{name}" for name in sources(*SHIPPED, ".pyx")}
    assert expected - names == set()
    assert {"README.md", "CHANGELOG.md", "Makefile", "setup.py", "docs/wire-format.md", "tests/conftest.py"} <= names
    generated = {
        name for name in names if name.endswith((".c", ".so", ".pyc")) and not name.startswith("bench/native/")
    }
    assert generated == set()
    assert {name.partition("/")[0] for name in names} & {"build", "dist", ".git", ".venv"} == set()


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (archive,) = built.glob("*.whl")
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
    names = {name for name in names if ".dist-info/" not in name}
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    native = {name.removesuffix(".pyx") + suffix for name in sources(".pyx")}
    assert names == sources(*SHIPPED) | native
    assert {"fastcount/py.typed", "fastcount/_core.pyi", "fastcount/dashboard/vendor/uPlot.LICENSE"} <= names


@pytest.fixture(scope="module")
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    program = [str(installed / "fastcount"), "serve"]
    with serving(tmp_path_factory.mktemp("empty"), program=program, PYTHONPATH="") as running:
        yield running
        assert running.stop() == 0


def test_it_counts_from_an_empty_folder(installed: Path, server: Running, tmp_path: Path) -> None:
    program = installed / "fastcount"
    where = quiet(installed / "python", "-c", "import fastcount._core as c; print(c.__file__)", cwd=tmp_path)
    assert Path(where).is_relative_to(installed.parent)
    assert "serve" in quiet(program, "--help", cwd=tmp_path)
    assert quiet(program, "--version", cwd=tmp_path) == f"fastcount {server.card['version']}\n"
    url = f"http://{server.http}/v1/counter/hits/home/increment"
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60).close()
    doors = ("--binary", server.binary, "--http", server.http)
    assert quiet(program, "send", "hits", "home", *doors, cwd=tmp_path) == "1 sent, 1 received, 0 lost\n"
    assert quiet(program, "get", "hits", "home", "--http", server.http, cwd=tmp_path) == "2\n"


@pytest.mark.parametrize("path", ["/", "/dashboard/app.js", "/dashboard/uPlot.iife.min.js", "/docs", "/favicon.ico"])
def test_it_serves_its_pages(server: Running, path: str) -> None:
    with urllib.request.urlopen(f"http://{server.http}{path}", timeout=60) as answer:
        assert answer.read()
