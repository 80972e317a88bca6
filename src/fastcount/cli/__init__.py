"""The command line. Exit status: 0 done, 1 failed, 2 used wrongly; one line on standard error says why.

Commands import what they need when they run, so that `fastcount --help` answers at once.
"""

import io
import os
import sys
from typing import Annotated

import typer

from fastcount.cli import ask, bench, load, serve
from fastcount.cli.common import fail
from fastcount.errors import ConfigError, FastcountError, InvalidName

# typer carries click inside, or beside it, depending on its version; both have these two above BadParameter
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
_ClickError: type[Exception] = _UsageError.__bases__[0]

app = typer.Typer(
    name="fastcount",
    help="Count things at massive scale: increments in by UDP, totals out over HTTP.",
    epilog="Begin with:  fastcount serve    and in another window:  fastcount send hits /home",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from fastcount.version import VERSION

        print(f"fastcount {VERSION}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


for module in (serve, ask, load, bench):
    module.register(app)


def main() -> None:
    """The entry of the `fastcount` command; ends the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # ids hold what a terminal's encoding may lack
    try:
        status = app(prog_name="fastcount", standalone_mode=False)
        sys.stdout.flush()
    except _ClickError as error:
        fail(_told(error))
        status = 2
    except (ConfigError, InvalidName) as error:
        fail(str(error))
        status = 2
    except FastcountError as error:
        fail(str(error))
        status = 1
    except BrokenPipeError:
        # whoever read us had enough, as in `fastcount top hits | head -1`; keep the interpreter's last flush quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    except KeyboardInterrupt:
        status = 130
    sys.exit(status if isinstance(status, int) else 0)


def _told(error: Exception) -> str:
    message: str = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    return f"{message}  (see {context.command_path} --help)" if context is not None else message
