"""Names and values of settings that nobody means well: refused on every system, by their place."""

from __future__ import annotations

import pytest

from rig import hostile_strings
from rig.simhost import SimHost
from rig.simsysctl import OURS, linux, tuner
from saltext.ipalias.errors import InputError
from saltext.ipalias.sysctl import STORES
from saltext.ipalias.tuning import parse_key, parse_setting, parse_settings

#: A name of each system, and where in it an interface's name stands, if one does.
NAMES = {
    "linux": ("net.ipv4.conf.all.arp_ignore", "net/ipv4/conf/{}/arp_ignore"),
    "freebsd": ("net.inet.ip.forwarding", "net.inet.{}"),
    "openbsd": ("net.inet.ip.forwarding", "net.inet.{}"),
    "sunos": ("ipv4/hostmodel", "ipv4/{}"),
    "windows": ("ipv4/LAN/weakhostreceive", "ipv4/{}/weakhostreceive"),
}
#: What a shell, or a reader of lines, could take for more than a part of a word.
SPECIAL = set("\n\r\0\x1b'\"`$\\;&<>*?[]{}#~^!")
LONGEST = 4000


def refusal(call) -> str:
    """Return the message of a refusal; empty where there is none."""
    try:
        call()
    except InputError as error:
        assert error.where.startswith("ipalias:sysctl")
        assert len(error.text()) <= LONGEST and error.text().isprintable()
        return error.text()
    return ""


def test_each_system_has_names_here() -> None:
    assert set(NAMES) == set(STORES)


@pytest.mark.parametrize("system", NAMES)
def test_hostile_strings_are_refused_or_are_words(system: str) -> None:
    name, pattern = NAMES[system]
    where = "ipalias:sysctl"
    taken = 0
    for text in hostile_strings.every():
        if not refusal(lambda text=text: parse_setting(name, text, where, system)):
            value = parse_setting(name, text, where, system).value
            assert value.isascii() and value.isprintable() and not SPECIAL & set(value), value
            taken += 1
        for key in (text, pattern.format(text)):
            if not refusal(lambda key=key: parse_settings({key: "1"}, where, system)):
                found = parse_key(key, where, system)
                assert found.isprintable() and not SPECIAL & set(found), found
                assert ".." not in found.split("/")
                taken += 1
    assert taken < 100, "the most of them are no words"


@pytest.mark.parametrize("system", NAMES)
def test_other_kinds_are_refused(system: str) -> None:
    name, _ = NAMES[system]
    for value in hostile_strings.odd():
        # One of few digits is the kernel's to refuse.
        number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**500
        said = refusal(lambda value=value: parse_settings({name: value}, "ipalias:sysctl", system))
        assert said or number, type(value)
        refused = refusal(lambda value=value: parse_key(value, "ipalias:sysctl", system))
        assert refused, type(value)


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("windows", "ipv4/\x1b]0;x\x07/weakhostreceive"),
        ("windows", "ipv4/\u202eNAL/weakhostreceive"),
        ("windows", "ipv4//weakhostreceive"),
        ("linux", "net/ipv4/conf/a b/arp_ignore"),
        ("sunos", "ipv4/host model"),
    ],
)
def test_a_name_that_no_interface_has_is_refused(system: str, name: str) -> None:
    with pytest.raises(InputError):
        parse_key(name, "x", system)


@pytest.mark.parametrize("setting", ["metric", "dadtransmits"])
def test_a_number_of_any_length_is_refused_by_windows_settings(setting: str) -> None:
    for value in ("9" * 5000, "10000"):
        with pytest.raises(InputError, match="a number from 0 to"):
            parse_setting(f"ipv4/LAN/{setting}", value, "x", "windows")


@pytest.mark.parametrize("value", ["1;x", "$(x)", "`x`", "1'", '1"', "a\\b", "1 # x", "1 > x", "~"])
def test_signs_that_no_setting_of_linux_needs_are_refused(value: str) -> None:
    with pytest.raises(InputError, match="quotes"):
        parse_setting("kernel.hostname", value, "x", "linux")


@pytest.mark.parametrize("value", ["|/usr/bin/x -p%p -s%s", "4096\t131072  6291456", "1-5,7", "-1"])
def test_what_settings_of_linux_need_is_taken(value: str) -> None:
    setting = parse_setting("kernel.core_pattern", value, "x", "linux")
    assert setting.value == " ".join(value.split())


@pytest.fixture
def host() -> SimHost:
    return linux()


def test_what_others_wrote_between_our_lines_is_not_kept(host: SimHost) -> None:
    """With the ledger lost, our file is all there is; not each line of it need be ours."""
    known = "net.ipv4.conf.all.arp_ignore"
    host.files.put(
        OURS,
        "# Written by the ipalias formula: x\n"
        f"{known} = 1\nnet.ipv4.conf.all.rp_filter = $(id)\nnet.ipv4.conf.*.arp_ignore = 1\n",
    )
    assert list(tuner(host).entries()) == [known]
    tuner(host).clean()
    assert host.files.read(OURS) is None
