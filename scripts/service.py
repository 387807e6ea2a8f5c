"""`daedalus service`: the systemd service of this machine, installed and removed."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from grp import getgrgid
from pathlib import Path
from typing import Annotated

import typer

from config.config import DEFAULT_FILE, Settings, load_config
from scripts.config_commands import ConfigFile
from scripts.supervisor.unit import TEMPLATE, UNIT, Place, unit_text
from shared.errors import DaedalusError, SettingsInvalid

_SYSTEM_FOLDER = Path("/etc/systemd/system")
_USER_FOLDER = Path("~/.config/systemd/user")
app = typer.Typer(
    name="service", help="Install or remove the systemd service.", no_args_is_help=True, add_completion=False
)
OfUser = Annotated[bool, typer.Option("--user", help="For this user's own systemd: no root needed, little hardening.")]


class ServiceRefused(DaedalusError):
    """The service cannot be installed or removed here."""


@app.command()
def install(
    config: ConfigFile = DEFAULT_FILE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the unit; change nothing.")] = False,
    run_as: Annotated[str | None, typer.Option(help="Its user; else whoever owns the lake's folder.")] = None,
    user: OfUser = False,
) -> None:
    """Write the unit for this lake, these settings and this Python; do not start it yet."""
    settings = load_config(config)
    place = place_of(settings, config.resolve(), run_as)
    text = unit_text(TEMPLATE.read_text(encoding="utf-8"), place, settings.supervisor, of_user=user)
    if dry_run:
        typer.echo(text, nl=False)
        return
    _require_systemd(f"daedalus service install -c {config}", of_user=user)
    for folder in place.folders:
        _own_folder(folder, place)
    target = _unit_folder(of_user=user) / UNIT
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    _systemctl("daemon-reload", of_user=user)
    prefix = "systemctl --user" if user else "sudo systemctl"
    typer.echo(
        f"{target} is written, for user {place.user}. Start it, now and at each boot: {prefix} enable --now daedalus"
    )
    if user:
        typer.echo("To have it run while you are not logged in: loginctl enable-linger")


@app.command()
def uninstall(user: OfUser = False) -> None:
    """Stop the service in good order, and remove its unit. The lake and the settings stay."""
    _require_systemd("daedalus service uninstall", of_user=user)
    target = _unit_folder(of_user=user) / UNIT
    if not target.exists():
        raise ServiceRefused(f"{target} is not there", hint="Nothing is installed, so nothing was removed")
    _systemctl("disable", "--now", UNIT, of_user=user)
    target.unlink()
    _systemctl("daemon-reload", of_user=user)
    typer.echo(f"{target} is removed; the lake and the settings are as they were")


def place_of(settings: Settings, config: Path, run_as: str | None) -> Place:
    """Who runs the service, and where it reads and writes.

    Raises: SettingsInvalid for a user that this machine does not know.
    """
    paths = settings.storage.paths
    named = [paths.raw_dir, paths.processed_dir, paths.state_dir]
    if settings.storage.archive.type == "folder":
        named.append(settings.storage.archive.path)
    folders = sorted({folder.resolve() for folder in named})
    outer = [folder for folder in folders if not any(other in folder.parents for other in folders)]
    try:
        owner = pwd.getpwnam(run_as) if run_as else pwd.getpwuid(_nearest(outer[0]).stat().st_uid)
    except KeyError:
        raise SettingsInvalid(
            f"this machine has no user {run_as or 'who owns ' + str(_nearest(outer[0]))}",
            hint="Name one with --run-as, or make one: sudo useradd --system --user-group daedalus",
        ) from None
    is_absolute = all(folder.is_absolute() for folder in named)
    return Place(
        user=owner.pw_name,
        group=getgrgid(owner.pw_gid).gr_name,
        python=_python(Path(shutil.which(sys.argv[0]) or sys.executable)),
        config=config,
        folders=outer,
        working_folder=Path("/") if is_absolute else Path.cwd(),
    )


def _python(command: Path) -> Path:
    """This Python by the first name on the way from the command to its file that leads to the same environment.

    So a link such as /opt/daedalus/current, which names another version later, stays in the unit.
    """
    while True:
        beside = command.parent / "python"
        if beside.exists() and beside.parent.parent.samefile(sys.prefix):
            return beside.absolute()
        if not command.is_symlink():
            return Path(sys.executable)
        command = command.parent / command.readlink()


def _nearest(folder: Path) -> Path:
    """The folder itself, or what there is of the way to it."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _own_folder(folder: Path, place: Place) -> None:
    """Make what is missing of a folder, as its user's: systemd opens only what is there."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        if os.geteuid() == 0:
            shutil.chown(path, place.user, place.group)


def _require_systemd(command: str, *, of_user: bool) -> None:
    if shutil.which("systemctl") is None:
        raise ServiceRefused(
            "this machine has no systemctl", hint="Without systemd, start `daedalus supervise` yourself"
        )
    if not of_user and os.geteuid() != 0:
        raise ServiceRefused("a service of the system needs root", hint=f"Try `sudo {command}`, or add --user")


def _unit_folder(*, of_user: bool) -> Path:
    return _USER_FOLDER.expanduser() if of_user else _SYSTEM_FOLDER


def _systemctl(*arguments: str, of_user: bool) -> None:
    command: Sequence[str] = ["systemctl", *(["--user"] if of_user else []), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"code {done.returncode}"
        raise ServiceRefused(f"`{' '.join(command)}` failed: {said}", hint="Mend that, then run this again")
