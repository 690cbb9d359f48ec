"""The files by which a server gets its configuration, and what they were before us. Pure.

ISC: a file of our own, ``/etc/dhcp/ipalias.conf``, that one marked line of ``dhcpd.conf``
includes; or ``dhcpd.conf`` as a whole, where the pillar says so. The interfaces stand in
``/etc/default/isc-dhcp-server``. Kea reads one file of JSON, which is ours as a whole.

What was there before is kept in a file of our own, so that a clean gives it back.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..effects import FileState
from ..errors import MALFORMED, InputError, ParseError, RefusedError
from ..files import temporary_name
from ..host import Host
from ..model import Command, File
from ..text import shellvars
from ..text.blocks import remove_block, replace_block
from . import isc, iscdefaults, kea
from .model import ISC, KEA, DhcpConfig
from .services import SERVERS, State

SCHEMA = 1
#: What dhcpd.conf includes.
OWN = isc.INCLUDED
ISC_DEFAULTS = isc.DEFAULTS
INTERFACES = isc.INTERFACES
BLOCK = "dhcp"


@dataclass(frozen=True)
class Kept:
    """Hold a file as it was; text None: there was none."""

    text: str | None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0

    def state(self, path: str) -> FileState:
        """Return what a file that is put back takes mode and owner from."""
        return FileState(path, self.text or "", self.mode, self.uid, self.gid)


@dataclass(frozen=True)
class Found:
    """Hold what a host had before our first change.

    :param main: path of the server's main file.
    :param files: what is put back, by path.
    :param service: what its server did.
    :param others: what servers of another implementation did, that we have ended since.
    """

    implementation: str
    main: str
    files: dict[str, Kept]
    service: State
    whole: bool = False
    others: tuple[State, ...] = ()

    def service_of(self, implementation: str) -> State | None:
        """Return what a server did before us; None: it is none that we have touched."""
        there = (self.service, *self.others)
        return next((one for one in there if one.implementation == implementation), None)


def render_found(found: Found) -> str:
    """Return what was found as text."""
    services = {
        "service": found.service._asdict(),
        "others": [one._asdict() for one in found.others],
    }
    return json.dumps({"schema": SCHEMA, **asdict(found), **services}) + "\n"


def parse_found(text: str, path: str) -> Found:
    """Read what was found.

    :raises ParseError: not that, or of a later version.
    """
    way_out = "install the newer version of the formula again, or move it away"
    try:
        data = json.loads(text)
        if int(data["schema"]) > SCHEMA:
            raise ParseError(path, 1, "a later version has written it", way_out=way_out)
        return Found(
            SERVERS[data["implementation"]].implementation,
            str(data["main"]),
            {str(name): Kept(**row) for name, row in data["files"].items()},
            _parse_state(data["service"]),
            bool(data["whole"]),
            tuple(map(_parse_state, data.get("others", ()))),
        )
    except MALFORMED as error:
        raise ParseError(path, 1, f"not what a host had ({error!r})", way_out=way_out) from None


def _parse_state(row: Mapping[str, Any]) -> State:
    implementation = SERVERS[row["implementation"]].implementation
    return State(implementation, tuple(map(int, row["pids"])), bool(row["enabled"]))


def main_path(implementation: str, host: Host) -> str:
    """Return the path of the server's main file on this host.

    :raises InputError: it is set to a place where AppArmor lets dhcpd read nothing.
    :raises ParseError: see `iscdefaults.main_file`.
    """
    server = SERVERS[implementation]
    text = host.read(ISC_DEFAULTS) if implementation == ISC else None
    path = iscdefaults.main_file(text, ISC_DEFAULTS) if text else server.main
    # `..` in it would lead out of the folder.
    path = posixpath.normpath(path)
    if not path.startswith(f"{server.folder}/"):
        raise InputError(
            f"{path} is not below {server.folder}",
            where=ISC_DEFAULTS,
            way_out=f"move it there: its AppArmor profile lets {server.program} read nothing else",
        )
    return path


def refuse_other_main(found: Found, host: Host) -> None:
    """Refuse a main file that is another one by now: ours is written where nobody reads it.

    :raises RefusedError: naming both.
    """
    path = main_path(found.implementation, host)
    if path != found.main:
        raise RefusedError(
            f"{path} is what the server starts with by now, and ours is in {found.main}",
            where=ISC_DEFAULTS,
            way_out="set it back, or apply the state ipalias.dhcp.clean and then this one",
        )


def with_interfaces(text: str | None, interfaces: Iterable[str]) -> str:
    """Return the defaults of isc-dhcp-server with its interfaces."""
    set_ = iscdefaults.set_interfaces(text or "", ISC_DEFAULTS, " ".join(interfaces))
    return set_ if set_.endswith("\n") else f"{set_}\n"


def without_interfaces(text: str, kept: Kept) -> str | None:
    """Return the defaults with the interfaces that were there before us; all else stays."""
    before = kept.text
    ours = iscdefaults.read_interfaces(text, ISC_DEFAULTS)
    if text == with_interfaces(before, ours.split()):
        return before
    given = shellvars.parse(before or "", ISC_DEFAULTS).get(INTERFACES)
    document = shellvars.parse(text, ISC_DEFAULTS)
    if given is None or given.value is None:
        document.remove(INTERFACES)
    else:
        document.set(INTERFACES, given.value)
    return document.text()


def found_paths(implementation: str, host: Host) -> list[str]:
    """Return the files of a server that are edited, its main one first."""
    main = main_path(implementation, host)
    return [main] if implementation == KEA else [main, ISC_DEFAULTS]


def find(
    implementation: str,
    whole: bool,
    files: Mapping[str, FileState | None],
    state: State,
    former: Found | None = None,
) -> Found:
    """Return what a host has before our first change.

    :param files: those of `found_paths`, in their order.
    :param former: what it had before we brought the implementation that goes now.
    """
    kept = {
        path: Kept(None) if file is None else Kept(file.text, file.mode, file.uid, file.gid)
        for path, file in files.items()
    }
    known = former.service_of(implementation) if former is not None else None
    ended = (former.service, *former.others) if former is not None else ()
    others = tuple(
        one for one in ended if one.implementation != implementation and (one.pids or one.enabled)
    )
    service = replace_pids(state) if known is None else known
    return Found(implementation, next(iter(files)), kept, service, whole, others)


def replace_pids(state: State) -> State:
    """Return a state as it is kept: that it served, and no number that means nothing later."""
    return state._replace(pids=(1,) if state.pids else ())


@dataclass(frozen=True)
class Files:
    """Hold what files shall be.

    :param like: mode and owner that a file shall have, where it is not to keep its own.
    """

    files: tuple[File, ...]
    like: Mapping[str, FileState] = field(default_factory=dict)


def present(found: Found, text: str, config: DhcpConfig, host: Host) -> Files:
    """Return the files of a server that shall run by our configuration.

    :param text: the configuration (`isc.render_isc`, `kea.render_kea`).
    """
    main = found.main
    if found.implementation == KEA:
        # A database's password may stand in it, and the daemon runs as a user of its own.
        owner = FileState(main, "", kea.MODE, 0, group_id(host, SERVERS[KEA].user))
        return Files((File(main, text, owned=False),), {main: owner})
    defaults = host.read(ISC_DEFAULTS)
    files = [File(ISC_DEFAULTS, with_interfaces(defaults, config.interfaces), owned=False)]
    if found.whole:
        ours = File(main, text, owned=False)
        return Files((File(OWN, None), ours, *files), {main: FileState(main, "", isc.MODE)})
    now, kept = host.read(main), found.files[main]
    like = {}
    if now is not None and is_ours(now):
        # Whole once, and included now: what was there before comes back first.
        now, like = kept.text, {main: kept.state(main)}
    included = replace_block(now, BLOCK, f'include "{OWN}";\n', main)
    return Files((File(OWN, text, isc.MODE), File(main, included, owned=False), *files), like)


def is_ours(text: str) -> bool:
    """Tell whether a text is a whole configuration of ours."""
    return text.startswith(isc.HEAD)


def owner_of_leases(host: Host) -> FileState:
    """Return whose Kea's lease file is: Kea's own, as which it runs."""
    name = SERVERS[KEA].user
    return FileState(kea.LEASES, "", 0o640, max(0, user_id(host, name)), group_id(host, name))


def group_id(host: Host, name: str) -> int:
    """Return the number of a group, group(5); the superuser's where there is none of that name."""
    return _number(host, "/etc/group", name) or 0


def user_id(host: Host, name: str) -> int:
    """Return the number of a user, passwd(5); -1, who owns nothing, where there is none."""
    found = _number(host, "/etc/passwd", name)
    return -1 if found is None else found


def _number(host: Host, path: str, name: str) -> int | None:
    for line in (host.read(path) or "").splitlines():
        words = line.split(":")
        if words[0] == name and len(words) > 2 and words[2].isdigit():
            return int(words[2])
    return None


def made_by_us(found: Found) -> list[str]:
    """Return the files that are edited for their text and that nobody had before us."""
    return [path for path, kept in found.files.items() if kept.text is None]


def absent(found: Found, host: Host) -> Files:
    """Return the files as they were before us; edits of others since then stay."""
    main, kept = found.main, found.files[found.main]
    like = {main: kept.state(main)}
    if found.implementation == KEA:
        return Files((File(main, kept.text, owned=False),), like)
    files = [File(OWN, None)]
    now = host.read(main)
    if now is not None and is_ours(now):
        files.append(File(main, kept.text, owned=False))
    elif now is not None:
        files.append(File(main, remove_block(now, BLOCK, main), owned=False))
        like = {}
    defaults = host.read(ISC_DEFAULTS)
    if defaults is not None:
        before = without_interfaces(defaults, found.files[ISC_DEFAULTS])
        files.append(File(ISC_DEFAULTS, before, owned=False))
    return Files(tuple(files), like)


# -- the server's own check ------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """Hold how a server is asked about files before they take the place of the old ones.

    :param files: the candidates, beside the real ones: nowhere else may the server read.
    :param names: the real path of each candidate, for its complaint.
    """

    files: tuple[File, ...]
    names: dict[str, str]
    command: Command
    program: str


def check_of(implementation: str, main: str, files: Iterable[File]) -> Check:
    """Return the check of the files of a server, dhcpd(8) ``-t``, kea-dhcp4(8) ``-t``.

    Kea is asked as the user that it runs as, and without its lock file: left behind by root
    that one would keep the server from starting.
    """
    texts = {file.path: file for file in files if file.text is not None}
    candidates: dict[str, File] = {}
    for path in (OWN, main) if implementation == ISC else (main,):
        if path in texts:
            file = texts[path]
            text = (file.text or "").replace(f'include "{OWN}"', f'include "{candidate(OWN)}"')
            candidates[path] = replace(file, path=candidate(path), text=text)
    names = {file.path: path for path, file in candidates.items()}
    asked = candidates[main].path if main in candidates else main
    program = SERVERS[implementation].program
    return Check(tuple(candidates.values()), names, check_command(implementation, asked), program)


def check_command(implementation: str, path: str) -> Command:
    """Return the command by which a server looks at a file of configuration."""
    if implementation == ISC:
        # Not `-q`: that takes its complaints away as well.
        return Command(("dhcpd", "-4", "-t", "-cf", path))
    user = SERVERS[KEA].user
    apart = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups")
    return Command((*apart, "env", "KEA_LOCKFILE_DIR=none", "kea-dhcp4", "-t", path))


def candidate(path: str) -> str:
    """Return the path of a file's candidate: hidden, in the same folder."""
    return temporary_name(path).replace("ipalias-new", "ipalias-check")


def refusal(output: str, check: Check) -> str:
    """Return what a server says against candidates, by the names of the real files."""
    for path, name in check.names.items():
        output = output.replace(path, name)
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    noise = ("Internet Systems Consortium", "Copyright", "All rights", "For info", "Config file:")
    said = [line for line in lines if not line.startswith(noise)]
    # Behind it dhcpd says how to report a defect.
    end = next((at for at, line in enumerate(said) if line.startswith("If you think")), None)
    said = said[:end]
    return " / ".join(said[:6])[:800] or "no word of why"
