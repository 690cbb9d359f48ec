"""netifrc: what a line of its list means, which file counts, and that an edit is ours alone."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from rig.netifrc_lists import BACKEND, CONF, DASH, ONE, SIX, A, B, alias, host, read, render
from rig.simhost import SimHost
from saltext.ipalias.backends import netifrc_files, netifrc_items
from saltext.ipalias.errors import OwnerError, ParseError, RefusedError
from saltext.ipalias.errors import UnsupportedError as Unsupported
from saltext.ipalias.model import Alias, Evidence, Found, Wanted


def cidrs(text: str, interface: str = "eth0") -> list[str]:
    return [cidr for cidr, _ in read(host(text), interface)]


# One item


@pytest.mark.parametrize(
    ("item", "cidr"),
    [
        ("192.0.2.2/24", "192.0.2.2/24"),
        ("192.0.2.2 netmask 255.255.255.0", "192.0.2.2/24"),
        ("192.0.2.2 netmask 0xffffff00 brd +", "192.0.2.2/24"),
        # Bits are counted, whatever the number means.
        ("192.0.2.2 netmask 24", "192.0.2.2/2"),
        ("192.0.2.2", "192.0.2.2/32"),
        ("192.0.2.2/255.255.255.0", "192.0.2.2/24"),
        ("2001:db8::2", "2001:db8::2/128"),
        ("2001:DB8:0::2/64 nodad home", "2001:db8::2/64"),
        ("192.0.2.2/24 192.0.2.3/24", "192.0.2.2/24"),
        ("192.0.2.2/24 netmask 255.255.255.0", None),
        ("192.0.2.2 netmask 255.255.0.0 netmask 255.255.0.0", None),
        ("2001:db8::2/64 brd 2001:db8::ff", None),
        ("192.0.2.2/33", None),
        ("192.0.2.2/x", None),
        ("192.0.2.256/24", None),
        ("dhcp", None),
        ("null", None),
    ],
)
def test_an_item_is_read_as_add_address_reads_it(item: str, cidr: str | None) -> None:
    assert netifrc_items.read_item(item, "eth0").cidr == cidr


def test_ifconfig_takes_the_class_for_the_mask() -> None:
    first = {first: str(ip_address((first << 24) + 1)) for first in (10, 172, 192)}
    text = 'modules="!iproute2"\nconfig_eth0="' + "\n".join(first.values()) + '"\n'
    assert cidrs(text) == [f"{first[10]}/8", f"{first[172]}/16", f"{first[192]}/24"]


@pytest.mark.parametrize(
    "more",
    ["peer 192.0.2.9", "nodad", "valid_lft 100", "brd 192.0.2.77", "junk", "noprefixroute"],
)
def test_an_item_that_says_more_is_not_taken_out(more: str) -> None:
    made = host(f'config_eth0="192.0.2.2/24\n198.51.100.10/32 {more}"\n')
    with pytest.raises(RefusedError, match=f"^{CONF}:2: .* says more than an alias of ours"):
        render(made, former=(A,))


def test_one_that_says_less_is_no_drift() -> None:
    """A missing broadcast address changes nothing."""
    text = 'config_eth0="192.0.2.2/24\n198.51.100.10/32"\n'
    assert render(host(text), A, former=(A,)) == text


def test_a_label_is_changed_in_place() -> None:
    text = 'config_eth0="192.0.2.2/24\n198.51.100.10/32\n203.0.113.1/32"\n'
    again = render(host(text), alias("198.51.100.10/32", "fo1"), former=(A,))
    assert again == text.replace("10/32", "10/32 brd 198.51.100.10 label eth0:fo1")


def test_a_wide_alias_has_the_broadcast_address_of_its_subnet() -> None:
    text = render(host(ONE), alias("203.0.113.5/25"), alias("203.0.113.130/31"))
    assert text == ONE.replace('24"', '24\n203.0.113.5/25 brd 203.0.113.127\n203.0.113.130/31"')


# The list


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('config_eth0="192.0.2.2/24 192.0.2.3/24"\n', ["192.0.2.2/24", "192.0.2.3/24"]),
        ('config_eth0="noop 192.0.2.3/24"\n', ["192.0.2.3/24"]),
        ('config_eth0="192.0.2.2/24 dhcp 192.0.2.3/24"\n', ["192.0.2.2/24"]),
        # With a second line the first one's second address is lost.
        ('config_eth0="192.0.2.2/24 192.0.2.3/24\ndhcp"\n', ["192.0.2.2/24"]),
        # Where the line is split, a word that was a value is an address.
        ('config_eth0="192.0.2.2/24 192.0.2.3 brd 192.0.2.255"\n', [
            "192.0.2.2/24", "192.0.2.3/32", "192.0.2.255/32"]),
        ('config_eth0=( "192.0.2.2/24 192.0.2.3/24" )\n', ["192.0.2.2/24", "192.0.2.3/24"]),
        ('config_eth0=( "192.0.2.2/24 192.0.2.3/24" "dhcp" )\n', ["192.0.2.2/24"]),
        ('config_eth0="192.0.2.7/24"\nconfig_eth0="192.0.2.8/24"\n' + ONE, ["192.0.2.2/24"]),
        ('config_eth0=( "192.0.2.2/24" )\nconfig_eth0+=( "192.0.2.3/24" )\n', [
            "192.0.2.2/24", "192.0.2.3/24"]),
        ("config_eth0=dhcp\n", []),
        ('config_eth0="192.0.2.2/24\r\n192.0.2.3/24"\r\n', ["192.0.2.2/24", "192.0.2.3/24"]),
    ],
)  # fmt: skip
def test_a_list_is_read_as_load_config_reads_it(text: str, expected: list[str]) -> None:
    assert cidrs(text) == expected


def test_each_item_is_found_on_its_line() -> None:
    text = '# c\nconfig_eth0="192.0.2.2/24\n\n192.0.2.3/24\n\t192.0.2.4/24"\n'
    assert [line for _, line in read(host(text))] == [2, 4, 5]
    text = 'config_eth0=( "192.0.2.2/24"\n# 192.0.2.3\n"192.0.2.5/24" )\n'
    assert [line for _, line in read(host(text))] == [1, 3]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (f"{ONE}if true; then\n  config_eth0=dhcp\nfi\n", 3, "under a condition"),
        (f"preup() {{\n  config_eth0=dhcp\n}}\n{ONE}", 2, "in a function"),
        ('X=1\nconfig_eth0="$X/24"\n', 2, "holds an expansion"),
        ('config_eth0=( "192.0.2.2/24" "$(f)" )\n', 1, "holds an expansion"),
        (f"{ONE}. /etc/conf.d/more\n", 2, "another file is read here"),
        (f"unset config_eth0\n{ONE}", 1, "by a command"),
        ('config_eth0=( "192.0.2.2/24"\nroutes_eth0="x"\n', 1, "is not closed"),
        ('x=1\nconfig_eth0="192.0.2.2/24\n', 2, "is not closed"),
        ('config_eth0=( "192.0.2.2/24" )\r\nx=1\r\n', 1, "carriage returns"),
    ],
)
def test_what_only_a_shell_can_tell_is_refused(text: str, line: int, what: str) -> None:
    made = host(text)
    for call in (lambda: read(made), lambda: render(made, A)):
        with pytest.raises(ParseError, match=what) as caught:
            call()
        assert str(caught.value).startswith(f"{CONF}:{line}: ")
    assert made.files.read(CONF) == text
    assert BACKEND.detect(made, "eth0").owns


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('config_eth0="noop 192.0.2.2/24"\n', 1, "`noop` ends the list"),
        ('x=1\nconfig_eth0=""\n', 2, "is empty, which means DHCP"),
        (f'{ONE}config_eth0+="\n192.0.2.3/24"\n', 2, "put together by `\\+=`"),
        ('config_eth0="192.0.2.2/24 \\\n"\n', 1, "too involved"),
        ("config_eth0=\"192.0.2.2\"'/24'\n", 1, "too involved"),
        ('config_eth0=( "192.0.2.2/24 192.0.2.3/24" )\n', 1, "holds several addresses"),
        ('config_eth0=( "192.0.2.2/24\n192.0.2.3/24" )\n', 1, "holds several addresses"),
    ],
)
def test_what_cannot_be_edited_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    made = host(text)
    with pytest.raises(Unsupported, match=what) as caught:
        render(made, A)
    assert str(caught.value).startswith(f"{CONF}:{line}: ")
    assert made.files.read(CONF) == text


def test_a_line_that_would_be_read_otherwise_is_refused() -> None:
    """With ours gone one line is left, and of one line netifrc reads every word."""
    text = 'config_eth0="192.0.2.2/24 192.0.2.3/24\n198.51.100.10/32"\n'
    with pytest.raises(Unsupported, match="would be read as"):
        render(host(text), former=(A,))


def test_a_list_on_one_line_has_room_for_addresses_alone() -> None:
    text = 'config_eth0="192.0.2.2/24 192.0.2.3/24"\n'
    assert render(host(text), A, SIX) == text.replace('3/24"', f'3/24 {A.cidr} {SIX.cidr}"')
    for refused in (alias("198.51.100.10/32", "x"), alias("2001:db8::1/128", source="never")):
        with pytest.raises(Unsupported, match="can have no label and no `source: never`"):
            render(host(text), refused)


def test_the_primary_stays_on_the_line_of_its_name() -> None:
    """The alias guide warns: the host's address stands behind ``config_eth0=``."""
    for text in (ONE, 'config_eth0=( "192.0.2.2/24" )\n', "config_eth0=192.0.2.2/24\n"):
        first = (render(host(text), A, B) or "").splitlines()[0]
        assert first.startswith("config_eth0=")
        assert "192.0.2.2/24" in first


def test_equal_items_the_last_one_is_ours() -> None:
    text = 'config_eth0="192.0.2.2/24\n198.51.100.10/32\nnull\n198.51.100.10/32"\n'
    assert render(host(text), former=(A,)) == text.replace('null\n198.51.100.10/32"', 'null"')


def test_purge_takes_a_foreign_item_out() -> None:
    made = host('config_eth0="192.0.2.2/24\n192.0.2.20/24"\n')
    evidence = BACKEND.detect(made, "eth0")
    adopt = (Found(alias("192.0.2.20/24"), CONF, 2, ours=None),)
    (file,) = BACKEND.render(Wanted("eth0", (), evidence, adopt=adopt), made)
    assert file.text == ONE


# Files


def test_the_files_are_read_in_the_order_of_openrc() -> None:
    made = host('config_eth0="192.0.2.1/24"\n')
    for path, cidr in (
        ("/etc/conf.d/net.default", "192.0.2.2/24"),  # in place of net in this runlevel
        ("/etc/conf.d/net.eth0", "192.0.2.3/24"),
        ("/etc/rc.conf", "192.0.2.4/24"),
        ("/etc/rc.conf.d/10-net.conf", "192.0.2.5/24"),
    ):
        made.files.put(path, f'config_eth0="{cidr}"\n')
        assert read(made) == [(cidr, 1)]
        assert BACKEND.detect(made, "eth0").file == path


def test_a_list_over_two_files_is_refused() -> None:
    made = host(ONE)
    made.files.put("/etc/conf.d/net.eth0", 'x=1\nconfig_eth0+=" dhcp"\n')
    with pytest.raises(ParseError, match=r"^/etc/conf.d/net.eth0:2: .*adds to what"):
        read(made)


def test_a_file_made_for_the_list_goes_with_it() -> None:
    made = host(ONE)
    made.files.drop(CONF)
    text = render(made, A) or ""
    assert 'config_eth0="dhcp\n' in text
    assert render(made, A, B, former=(A,)) != text
    assert render(made, former=(A, B)) is None


def test_names_are_those_of_shell_var() -> None:
    assert netifrc_files.shell_var("eth0.1") == "eth0_1"
    assert netifrc_files.shell_var("br-lan:x") == "br_lan_x"
    assert netifrc_files.shell_var("é") == "__"


def test_two_links_with_one_name_of_a_list_are_refused() -> None:
    made = host('config_eth0_1="192.0.2.2/24"\n')
    for name in ("eth0.1", "eth0_1"):
        made.net.add_link(name)
    evidence = BACKEND.assume(made, "eth0.1")
    wanted = Wanted("eth0.1", (Alias("198.51.100.10", 32, "eth0.1"),), evidence)
    with pytest.raises(Unsupported, match="the list of eth0_1 as well"):
        BACKEND.render(wanted, made)


def test_an_interface_whose_name_is_the_beginning_of_another() -> None:
    text = 'config_eth01="192.0.2.9/24"\nmy_config_eth0="x"\nconfig_eth0="192.0.2.2/24"\n'
    assert render(host(text), A) == text.replace('2/24"', f'2/24\n{A.cidr} brd {A.address}"')


# The shell


GUIDE = (
    'config_eth0=( "192.0.2.2 netmask 255.255.255.0" )\nroutes_eth0=( "default gw 192.0.2.254" )\n'
)


@pytest.mark.parametrize("shell", [DASH, "/bin/busybox", ""])
def test_an_array_is_kept_by_bash_alone(shell: str) -> None:
    made = host(GUIDE, shell)
    assert cidrs(GUIDE) == ["192.0.2.2/24"]
    with pytest.raises(Unsupported, match="the net would not start; set `form: string`"):
        render(made, A)
    assert made.files.read(CONF) == GUIDE
    text = render(made, A, form="string") or ""
    assert "(" not in text
    assert 'routes_eth0="default gw 192.0.2.254"' in text
    assert read(made) == [("192.0.2.2/24", 1), (A.cidr, 2)]


def test_bash_keeps_the_routes_as_they_are() -> None:
    assert (render(host(GUIDE), A, form="string") or "").endswith(GUIDE.splitlines()[1] + "\n")


@pytest.mark.parametrize("text", [ONE, GUIDE])
def test_another_array_keeps_the_net_down_and_is_named(text: str) -> None:
    other = f'{text}\nmodules=( "iproute2" )\n'
    made = host(other, DASH)
    line = other.count("\n")
    with pytest.raises(Unsupported, match=f"^{CONF}:{line}: `modules`: /bin/sh is {DASH}"):
        render(made, A, form="string")
    assert made.files.read(CONF) == other
    assert render(host(other), A, form="string") is not None


def test_a_word_of_bash_that_is_no_syntax_error_is_none_of_ours() -> None:
    """To dash ``x+=b`` is a command that is not found; the file is read to its end."""
    text = f'x="a"\nx+="b"\n{ONE}'
    assert A.cidr in (render(host(text, DASH), A) or "")


def test_an_array_is_written_where_it_is_asked_for_and_read() -> None:
    text = render(host(ONE), A, form="array")
    item = f'"{A.address} netmask 255.255.255.255 brd {A.address}"'
    assert text == f'config_eth0=( "192.0.2.2/24" {item} )\n'
    assert (render(host(""), A, form="array") or "").startswith('config_eth0=( "dhcp" ')
    with pytest.raises(Unsupported, match="the net would not start"):
        render(host(ONE, DASH), A, form="array")


def test_a_comment_is_not_lost_by_a_conversion() -> None:
    text = 'config_eth0=(\n"192.0.2.2/24" # mine\n)\n'
    with pytest.raises(Unsupported, match=f"^{CONF}:2: a comment within `config_eth0`"):
        render(host(text), A, form="string")


def test_without_aliases_nothing_is_converted() -> None:
    assert render(host(GUIDE), form="string") == GUIDE


# Who owns the interface


def owner(made: SimHost, interface: str = "eth0") -> Evidence:
    return BACKEND.detect(made, interface)


def test_a_started_service_owns() -> None:
    found = owner(host(ONE))
    assert (found.owns, found.strength, found.file) == (True, 2, CONF)
    assert found.facts["module"] == "iproute2"


def test_a_script_alone_does_not() -> None:
    made = host("")
    for path in ("/run/openrc/started/net.eth0", "/etc/runlevels/default/net.eth0"):
        made.files.unlink(path)
    assert not owner(made).owns
    made.files.put(CONF, ONE)
    assert (owner(made).owns, owner(made).strength) == (True, 1)


def test_a_service_of_the_runlevel_owns_unless_dhcpcd_runs() -> None:
    made = host(ONE)
    made.files.unlink("/run/openrc/started/net.eth0")
    assert owner(made).strength == 2
    made.files.put("/run/openrc/started/dhcpcd", "")
    assert not owner(made).owns
    assert "the service dhcpcd runs and net.eth0 is not started" in owner(made).reasons


def test_without_openrc_the_list_is_what_a_file_says() -> None:
    made = host(ONE)
    made.files.unlink("/run/openrc/softlevel")
    assert owner(made).strength == 1
    assert "OpenRC does not run" in owner(made).reasons


def test_a_script_of_somebody_else_is_none_of_netifrcs() -> None:
    made = host(ONE)
    made.files.put("/etc/init.d/net.lo", "#!/bin/sh\n")
    assert owner(made).reasons == ("/etc/init.d/net.eth0 is not netifrc's",)


def test_named_by_the_user_it_needs_a_service_or_a_list() -> None:
    made = host("")
    made.files.unlink("/etc/init.d/net.eth0")
    with pytest.raises(OwnerError, match=r"ln -s net\.lo /etc/init\.d/net\.eth0"):
        BACKEND.assume(made, "eth0")
    made.files.put(CONF, ONE)
    assert BACKEND.assume(made, "eth0").strength == 1


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("", "iproute2"),
        ('modules="ifconfig"', "ifconfig"),
        ('modules="!iproute2"', "ifconfig"),
        ('modules="ifconfig iproute2"', "iproute2"),
        ('modules="ifconfig"\nmodules_eth0="iproute2"', "iproute2"),
        ('modules="iproute2"\nmodules_eth0="!iproute2"', "ifconfig"),
        ('modules=( "iproute2" "ifconfig" )', "iproute2"),
        ('modules="iproute2"\nmodules+=" ifconfig"', "ifconfig"),
        ('modules="$X"', "ifconfig"),
    ],
)
def test_the_module_decides_what_can_be_said(text: str, module: str) -> None:
    facts = owner(host(f"{text}\n{ONE}")).facts
    assert facts["module"] == module
    assert ("unsupported_label" in facts) is (module == "ifconfig")
    assert ("unsupported_source4" in facts) is (module == "ifconfig")
