"""Kernel settings of FreeBSD and OpenBSD, on hosts that answer as their sysctl(8) does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.simfiles import SimFiles
from rig.simhost import SimHost
from rig.simsysctl import tuner
from saltext.ipalias.errors import EffectError, InputError, RefusedError
from saltext.ipalias.host import Result
from saltext.ipalias.live import Snapshot, freebsd, openbsd
from saltext.ipalias.sysctl import bsd
from saltext.ipalias.sysctl import freebsd as freebsd_store
from saltext.ipalias.tuning import Setting, parse_settings

CONF = "/etc/sysctl.conf"
FORWARD = "net.inet.ip.forwarding"
LOCKED, LOADER = "kern.securelevel", "net.inet.tcp.tcbhashsize"
VALUES = {FORWARD: "0", "net.inet.ip.ttl": "64", LOCKED: "1", LOADER: "1024"}
THEIRS = "# theirs\nnet.inet.ip.ttl=64\n"


class Sysctl:
    """sysctl(8): `name` and `name=value`, `-n`, and `-NW` on FreeBSD.

    OpenBSD's says what it refuses and exits 0 all the same (sysctl.c, main).
    """

    def __init__(self, system: str) -> None:
        self.freebsd = system == "freebsd"
        self.values = dict(VALUES)

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        option, name = (argv[1], argv[2]) if argv[1][0] == "-" else ("", argv[1])
        key, sign, value = name.partition("=")
        failed = 1 if self.freebsd else 0
        if key not in self.values:
            return Result(failed, "", f"sysctl: unknown oid '{key}'\n")
        if option == "-NW":
            if not self.freebsd:
                return Result(1, "", "sysctl: unknown option -- N\n")
            return Result(0, "" if key == LOADER else f"{key}\n", "")
        if sign:
            if key in (LOCKED, LOADER):
                return Result(failed, "", f"sysctl: {key}: Operation not permitted\n")
            self.values[key] = value
        return Result(0, f"{self.values[key]}\n", "")


@pytest.fixture(params=["freebsd", "openbsd"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SimHost:
    made = SimHost(SimFiles({CONF: THEIRS}), system=request.param)
    made.files.make_folders("/var/lib")
    made.programs["sysctl"] = Sysctl(request.param)
    for tool in (freebsd, openbsd):
        monkeypatch.setattr(tool, "read_snapshot", lambda host: Snapshot(system=host.system))
    return made


def asked(host: SimHost, **data: object) -> list[Setting]:
    return parse_settings(data or {FORWARD: 1}, "pillar", host.system)


def live(host: SimHost, key: str) -> str:
    program = host.programs["sysctl"]
    assert isinstance(program, Sysctl)
    return program.values[key]


def test_a_block_of_sysctl_conf_and_the_kernel_and_back(host: SimHost) -> None:
    answer = tuner(host).present(asked(host))
    assert answer["changes"]["settings"] == {FORWARD: {"old": "0", "new": "1"}}
    block = f"# BEGIN ipalias sysctl\n{FORWARD}=1\n# END ipalias sysctl\n"
    assert host.files.read(CONF) == THEIRS + block
    assert live(host, FORWARD) == "1"
    assert tuner(host).present(asked(host))["changes"] == {}
    [row] = tuner(host).effective([FORWARD])
    assert (row["winner"], row["ours"], row["after_boot"]) == (f"{CONF}:4", True, "1")
    tuner(host).absent([FORWARD])
    assert host.files.read(CONF) == THEIRS and live(host, FORWARD) == "0"


def test_a_line_behind_ours_is_named(host: SimHost) -> None:
    tuner(host).present(asked(host))
    host.files.put(CONF, f"{host.files.read(CONF)}{FORWARD}=0\n")
    with pytest.raises(RefusedError, match=rf"{CONF}:6 sets 0, and is read after ours"):
        tuner(host).present(asked(host))


def test_a_file_that_freebsd_reads_behind_it_is_named(host: SimHost) -> None:
    host.files.put("/etc/sysctl.conf.local", f"{FORWARD}: 0 # local\n")
    if host.system == "freebsd":
        with pytest.raises(RefusedError, match=r"/etc/sysctl\.conf\.local:1 sets 0"):
            tuner(host).present(asked(host))
    else:
        assert tuner(host).present(asked(host))["result"] is True


@pytest.mark.parametrize("key", [LOCKED, LOADER])
def test_what_cannot_be_set_now_is_refused_with_its_name(host: SimHost, key: str) -> None:
    before = host.state()
    with pytest.raises((InputError, EffectError), match=key) as caught:
        tuner(host).present(parse_settings({key: 7}, "pillar", host.system))
    assert host.state() == before
    if host.system == "freebsd" and key == LOADER:
        assert "/boot/loader.conf" in str(caught.value)


def test_what_the_kernel_does_not_have_is_refused(host: SimHost) -> None:
    with pytest.raises(InputError, match="this kernel has no setting"):
        tuner(host).present(parse_settings({"net.inet.ip.forwardin": 1}, "x", host.system))


@pytest.mark.parametrize("key", ["x", "net.inet.ip forwarding", "net..x", "-n", "net.x=1", "net.é"])
def test_a_name_out_of_its_grammar_is_refused(host: SimHost, key: str) -> None:
    with pytest.raises(InputError, match="not a kernel setting"):
        parse_settings({key: 1}, "x", host.system)


@pytest.mark.parametrize("value", ["1 2", "a#b", "'1'", "", True, None, "1\n2", "$(id)"])
def test_a_value_that_is_more_than_a_word_is_refused(host: SimHost, value: object) -> None:
    with pytest.raises(InputError):
        parse_settings({FORWARD: value}, "x", host.system)


def test_no_file_before_and_none_behind(host: SimHost) -> None:
    host.files.drop(CONF)
    tuner(host).present(asked(host))
    assert str(host.files.read(CONF)).startswith("# BEGIN ipalias sysctl (new-file)\n")
    tuner(host).clean()
    assert host.files.read(CONF) is None


@given(
    st.none() | st.text("ab=:#. \n\t\"'", max_size=60),
    st.dictionaries(st.sampled_from([FORWARD, "net.inet.ip.ttl"]), st.just("7"), min_size=1),
)
def test_an_edit_leaves_every_byte_of_theirs(text: str | None, wanted: dict[str, str]) -> None:
    host = SimHost(SimFiles({} if text is None else {CONF: text}), system="freebsd")
    [file] = bsd.render(host, wanted)
    host.files.put(CONF, str(file.text))
    assert bsd.read_ours(host) == wanted
    lasting = freebsd_store.read_lasting(host, wanted)
    assert {key: found.value for key, found in lasting.items()} == wanted
    [back] = bsd.render(host, {})
    assert back.text == text
