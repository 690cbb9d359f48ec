"""The ifupdown backend: pure text in, text and commands out."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.ifupdown import TreeHost
from saltext.ipalias.backends import ifupdown
from saltext.ipalias.backends.ifupdown_forms import batch_path, hook_path
from saltext.ipalias.errors import InputError, ParseError, RefusedError, UnsupportedError
from saltext.ipalias.model import Alias, Change, File, Found, Wanted
from saltext.ipalias.text.hooklines import parse_command

MAIN = "/etc/network/interfaces"
OWN = "/etc/network/interfaces.d/ipalias-eth0"
BATCH = "/etc/network/ipalias/eth0.batch"
HOOK = "/etc/network/if-up.d/ipalias-eth0"
ETH0 = "auto eth0\niface eth0 inet static\n    address 192.0.2.10/24\n"
LO = "auto lo\niface lo inet loopback\n"
TAIL_SOURCE = LO + ETH0 + "source interfaces.d/*\n"
CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS") or Path(__file__).resolve().parents[3] / "shared/corpus"
)


def alias(cidr: str, number: int | None = None, label: str | None = None, source: str = "auto"):
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0", label, source, number)


def render(host: TreeHost, *aliases: Alias, adopt: tuple[Found, ...] = (), **options: str):
    name = aliases[0].interface if aliases else "eth0"
    evidence = ifupdown.assume(host, name)
    wanted = Wanted(name, aliases, evidence, adopt=adopt, options=options)
    return ifupdown.render(wanted, host)


def parse(host: TreeHost, name: str = "eth0", ours: bool | None = None) -> list[Found]:
    found = ifupdown.parse(host, ifupdown.assume(host, name))
    return [f for f in found if ours is None or f.ours is ours]


V4 = alias("203.0.113.1/32", 0)
SIX = alias("2001:db8::1/128", 1)


# Where it goes


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("source interfaces.d/*", OWN),
        ("source /etc/network/interfaces.d/*", OWN),
        ("source-directory /etc/network/interfaces.d", OWN),
        ("source-dir interfaces.d/", OWN),
        ("source /etc/network/interfaces.d/*.cfg", OWN + ".cfg"),
        ("source /etc/network/interfaces.d/if-*", "/etc/network/interfaces.d/if-ipalias-eth0"),
        ("source /etc/network/more.d/*", "/etc/network/more.d/ipalias-eth0"),
        ("source /etc/network/interfaces.d/eth0", MAIN),
        ("source /etc/network/*.d/*", MAIN),
        ("# source interfaces.d/*", MAIN),
    ],
)
def test_the_stanza_goes_where_ifup_reads_it(source: str, path: str) -> None:
    host = TreeHost({MAIN: f"{LO}{ETH0}{source}\n"})
    texts = {file.path: file.text for file in render(host, V4)}
    assert "iface eth0:0 inet static\n" in (texts[path] or "")
    host.write(render(host, V4))
    assert [found.alias for found in parse(host, ours=True)] == [V4]


def test_a_stanza_read_before_its_parent_goes_to_the_end_of_the_main_file() -> None:
    text = f"source interfaces.d/*\n{LO}{ETH0}"
    host = TreeHost({MAIN: text})
    host.write(render(host, V4))
    assert OWN not in host.files
    assert host.files[MAIN].startswith(text + "# BEGIN ipalias eth0\nauto eth0:0\n")


def test_a_parent_in_an_included_file_that_comes_first() -> None:
    drop_in = "/etc/network/interfaces.d/50-cloud-init"
    host = TreeHost({MAIN: f"{LO}source interfaces.d/*\n", drop_in: ETH0})
    host.write(render(host, V4))
    assert OWN in host.files and host.files[drop_in] == ETH0
    late = "/etc/network/interfaces.d/zz"
    host = TreeHost({MAIN: f"{LO}source interfaces.d/*\n", late: ETH0})
    host.write(render(host, V4))
    assert OWN not in host.files and "BEGIN ipalias" in host.files[MAIN]


def test_a_name_with_a_dot_is_read_by_source_directory() -> None:
    main = "auto eth0.100\niface eth0.100 inet manual\nsource-directory interfaces.d\n"
    host = TreeHost({MAIN: main})
    host.write(render(host, replace(V4, interface="eth0.100")))
    assert "/etc/network/interfaces.d/ipalias-eth0--100" in host.files
    assert "/etc/network/if-up.d/ipalias-eth0--100" in host.files
    assert [f.alias.cidr for f in parse(host, "eth0.100", True)] == [V4.cidr]


def test_a_parent_that_is_not_auto_has_everything_in_the_batch_file() -> None:
    host = TreeHost({MAIN: "allow-hotplug eth0\niface eth0 inet dhcp\nsource interfaces.d/*\n"})
    host.write(render(host, V4))
    assert OWN not in host.files
    assert "address replace 203.0.113.1/32 dev eth0 label eth0:0\n" in host.files[BATCH]
    host.write(render(host, V4, form="stanza"))
    assert OWN in host.files


def test_without_any_file_the_block_makes_one_and_takes_it_away() -> None:
    host = TreeHost({}, flavour=None)
    host.write(render(host, V4, SIX))
    assert set(host.files) == {MAIN, BATCH, HOOK}
    assert '= "--all" ]' in host.files[HOOK]  # no ifup ever runs for eth0 itself
    assert [f.alias for f in parse(host)] == [V4, SIX]
    host.write(render(host))
    assert host.files == {}


def test_a_foreign_file_of_our_name_is_left() -> None:
    host = TreeHost({MAIN: TAIL_SOURCE, OWN: "# mine\n"})
    with pytest.raises(RefusedError, match="not a file of ours"):
        render(host, V4)


# Which form


@pytest.mark.parametrize(
    ("one", "stanza"),
    [
        (alias("203.0.113.1/32", 15), True),
        (alias("203.0.113.1/32", 3, "failover1"), True),
        (alias("203.0.113.1/32", 3, "eth0:fo1"), True),
        (alias("203.0.113.1/32", 16), False),
        (alias("203.0.113.1/32"), False),
        (alias("203.0.113.1/24", 0), False),
        (alias("203.0.113.1/32", 0, source="never"), False),
        (alias("2001:db8::1/128", 0), False),
    ],
)
def test_slot_and_alias_alone_decide_the_form(one: Alias, stanza: bool) -> None:
    host = TreeHost({MAIN: TAIL_SOURCE})
    many = tuple(alias(f"198.51.100.{n}/32", 100 + n) for n in range(40))
    for others in ((), many):
        texts = {file.path: file.text for file in render(host, one, *others)}
        assert (texts.get(OWN) is not None) is stanza
        recorded = [line for line in (texts[BATCH] or "").split("\n") if line.startswith("#eth0:")]
        assert len(recorded) == stanza


def test_a_long_interface_name_goes_without_a_label() -> None:
    name = "enp129s0f0np0v1"
    host = TreeHost({MAIN: f"auto {name}\niface {name} inet manual\n"})
    host.write(render(host, replace(V4, interface=name)))
    batch = host.files[batch_path(name)]
    assert f"address replace 203.0.113.1/32 dev {name} # slot 0\n" in batch
    assert ifupdown.live_label(replace(V4, interface=name)) is None
    assert [f.alias for f in parse(host, name)] == [replace(V4, interface=name)]


def test_live_labels() -> None:
    assert ifupdown.live_label(V4) == "eth0:0"
    assert ifupdown.live_label(replace(V4, label="failover1")) == "eth0:failover1"
    assert ifupdown.live_label(replace(V4, label="eth0:x")) == "eth0:x"
    assert ifupdown.live_label(SIX) is None
    with pytest.raises(InputError, match=r"'eth0:failover1234' in the kernel: 17 characters"):
        ifupdown.live_label(replace(V4, label="failover1234"))
    ng = ifupdown.assume(TreeHost({}, "ifupdown-ng"), "eth0")
    assert ifupdown.live_label(V4, ng) is None


@pytest.mark.parametrize("label", ["a b", "x;reboot", "x\niface", "eth1:x", "", "$(x)", "eth0:"])
def test_a_label_cannot_inject(label: str) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        render(TreeHost({MAIN: ETH0}), replace(V4, label=label))


@pytest.mark.parametrize("name", ["eth0 x", "eth0\n", "../x", "a;b", "eth0:1", "$x"])
def test_an_interface_name_cannot_inject(name: str) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        render(TreeHost({MAIN: ETH0}), replace(V4, interface=name))


def test_two_aliases_of_one_label_are_refused() -> None:
    with pytest.raises(InputError, match="both get the label 'eth0:5'"):
        render(TreeHost({MAIN: ETH0}), alias("203.0.113.5/32", 5), alias("203.0.113.6/32", 1, "5"))


def test_a_foreign_stanza_of_the_name_is_refused() -> None:
    host = TreeHost({MAIN: f"{ETH0}iface eth0:0 inet static\n address 203.0.113.9/32\n"})
    with pytest.raises(RefusedError, match=f"{MAIN}:4: "):
        render(host, V4)


# Round trips

V4_ADDRESS = st.integers(1, 250).map(lambda n: f"203.0.113.{n}")
V6_ADDRESS = st.integers(1, 9999).map(lambda n: f"2001:db8::{n:x}")
LABEL = st.one_of(st.none(), st.from_regex(r"[a-z0-9][a-z0-9]{0,8}", fullmatch=True))


@st.composite
def alias_lists(draw: st.DrawFn) -> tuple[Alias, ...]:
    addresses = draw(
        st.lists(st.one_of(V4_ADDRESS, V6_ADDRESS), min_size=1, max_size=8, unique=True)
    )
    numbers = draw(st.permutations([*range(10, 10 + len(addresses))]))
    found, labels = [], {f"{n}" for n in numbers}
    for address, number in zip(addresses, numbers, strict=True):
        six = ":" in address
        prefix = draw(st.sampled_from((64, 128) if six else (24, 32)))
        label = None if six else draw(LABEL)
        if label in labels:
            label = None
        labels.add(label or "")
        source = draw(st.sampled_from(("auto", "never")))
        slot = number if label is None or draw(st.booleans()) else None
        found.append(Alias(address, prefix, "eth0", label, source, slot))
    return tuple(found)


FOREIGN = st.lists(
    st.sampled_from(
        ["# c", "", "\t", "auto eth9", "iface eth9 inet dhcp", "allow-hotplug eth8",
         "source interfaces.d/*", "source-directory x.d", "# \udcff\udcfe"]
    ), max_size=6,
).map(lambda lines: "".join(f"{line}\n" for line in lines))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(alias_lists(), FOREIGN, FOREIGN, st.sampled_from(("stanza", "post-up")), st.booleans())
def test_parse_is_the_inverse_of_render(
    aliases: tuple[Alias, ...], before: str, after: str, form: str, cut: bool
) -> None:
    main = before + ETH0 + after
    main = main.rstrip("\n") if cut else main
    host = TreeHost({MAIN: main})
    host.write(render(host, *aliases, form=form))
    assert {f.alias for f in parse(host, ours=True)} == set(aliases)
    assert [f.alias.cidr for f in parse(host, ours=False)] == ["192.0.2.10/24"]
    once = dict(host.files)
    host.write(render(host, *aliases, form=form))
    assert host.files == once
    other = "stanza" if form == "post-up" else "post-up"
    host.write(render(host, *aliases, form=other))
    assert {f.alias for f in parse(host, ours=True)} == set(aliases)
    host.write(render(host, form=form))
    assert host.files == {MAIN: main}


def test_lines_added_after_the_block_stay_after_it() -> None:
    host = TreeHost({MAIN: ETH0})
    host.write(render(host, V4))
    host.files[MAIN] += "auto eth1\niface eth1 inet dhcp\n"
    kept = host.files[MAIN]
    assert {f.path: f.text for f in render(host, V4)}[MAIN] == kept
    host.write(render(host))
    assert host.files[MAIN] == ETH0 + "auto eth1\niface eth1 inet dhcp\n"


def corpus_files() -> list[Path]:
    return sorted((CORPUS / "interfaces").glob("*"))


@pytest.mark.corpus
@pytest.mark.parametrize("form", ["stanza", "post-up"])
def test_real_files_get_only_our_lines_and_come_back(form: str) -> None:
    if not corpus_files():
        assert "IPALIAS_CORPUS" not in os.environ, "IPALIAS_CORPUS names no corpus"
        pytest.skip("not applicable: no corpus beside the checkout")
    tried = 0
    for path in corpus_files():
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        try:
            host = TreeHost({MAIN: text})
            parse(host)
        except ParseError:
            host = TreeHost({MAIN: text}, "ifupdown2")  # stanzas without family and method
        tree = ifupdown.read_tree(host, host.flavour or "")
        names = {e.stanza.name for e in tree.entries if e.stanza.kind == "iface"}
        for name in sorted(names):
            tried += 1
            one, two = replace(V4, interface=name), replace(SIX, interface=name)
            host.write(render(host, one, two, form=form))
            assert {f.alias for f in parse(host, name, True)} == {one, two}, path
            main = host.files[MAIN]
            diff = list(difflib.ndiff(text.split("\n"), main.split("\n")))
            assert not [line for line in diff if line.startswith("- ")], path
            nothing = Wanted(name, (), ifupdown.assume(host, name))
            host.write(ifupdown.render(nothing, host))
            assert host.files == {MAIN: text}, path
    assert tried > 40


@pytest.mark.corpus
def test_real_files_are_read_as_they_stand() -> None:
    if not corpus_files():
        pytest.skip("not applicable: no corpus beside the checkout")

    def cidrs(name: str, interface: str, flavour: str = "ifupdown") -> list[str]:
        text = (CORPUS / "interfaces" / name).read_bytes().decode("utf-8", "surrogateescape")
        return [f.alias.cidr for f in parse(TreeHost({MAIN: text}, flavour), interface)]

    assert cidrs("01.interfaces", "eth0-0") == ["134.158.129.99/23"]
    assert cidrs("02.interfaces", "vmbr0") == ["10.0.0.1/30"]
    assert cidrs("02.interfaces", "eno1") == []  # placeholders
    assert cidrs("09.interfaces", "enp1s0f0") == ["10.76.116.61/24"]
    assert cidrs("12.interfaces", "eth0") == ["10.0.0.100/24"]
    assert cidrs("05.interfaces", "swp30", "ifupdown2") == [
        "12.0.0.4/24", "12.0.0.6/24", "2000:1000:1000:1000:3::5/128"
    ]  # fmt: skip


# Reading what others wrote

GUIDE = """\
auto lo eth0:0
iface lo inet loopback
# the server
auto eth0
iface eth0 inet static
    address 192.0.2.10
    netmask 255.255.255.0
    # IPFO 3
    post-up /sbin/ifconfig eth0:3 203.0.113.3 netmask 255.255.255.255 broadcast 203.0.113.3
    pre-down /sbin/ifconfig eth0:3 down
    up ip addr add 203.0.113.4/32 dev $IFACE label $IFACE:4
    down ip addr del 203.0.113.4/32 dev $IFACE
    gateway 192.0.2.254

iface eth0:0 inet static
    address 203.0.113.1
    netmask 255.255.255.255

auto eth0:1
iface eth0:1 inet static
    address 203.0.113.2

# the end
"""


def test_both_forms_of_the_guide_are_found() -> None:
    found = parse(TreeHost({MAIN: GUIDE}))
    assert [(f.alias.cidr, f.alias.label, f.line, f.ours) for f in found] == [
        ("192.0.2.10/24", None, 6, False),
        ("203.0.113.3/32", "eth0:3", 9, False),
        ("203.0.113.4/32", "eth0:4", 11, False),
        ("203.0.113.1/32", "eth0:0", 15, False),
        ("203.0.113.2/24", "eth0:1", 20, False),
    ]


@pytest.mark.parametrize(
    ("cidr", "gone"),
    [
        ("203.0.113.3/32", [9, 10]),
        ("203.0.113.4/32", [11, 12]),
        ("203.0.113.2/24", [19, 20, 21]),
    ],
)
def test_adopting_takes_out_exactly_these_lines(cidr: str, gone: list[int]) -> None:
    host = TreeHost({MAIN: GUIDE})
    (found,) = [f for f in parse(host) if f.alias.cidr == cidr]
    host.write(render(host, adopt=(found,)))
    lines = GUIDE.split("\n")
    assert host.files[MAIN].split("\n") == [
        line for number, line in enumerate(lines, 1) if number not in gone
    ]


def test_adopting_everything_moves_it_into_our_file() -> None:
    host = TreeHost({MAIN: GUIDE + "source interfaces.d/*\n"})
    foreign = tuple(parse(host)[1:])
    mine = tuple(alias(f"203.0.113.{n}/32", n) for n in (1, 2, 3, 4))
    host.write(render(host, *mine, adopt=foreign))
    assert [(f.alias, f.ours) for f in parse(host)[1:]] == [(one, True) for one in mine]
    assert host.files[MAIN].startswith("auto lo\niface lo inet loopback\n# the server\n")
    assert host.files[MAIN].endswith("    # IPFO 3\n    gateway 192.0.2.254\n\n\n\n# the end\n"
                                     "source interfaces.d/*\n")  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("iface eth0:9 inet static\n address 203.0.113.9/32\n gateway 192.0.2.1\n", "gateway"),
        ("iface eth0:9 inet static\n address 203.0.113.9/32\n up arping x\n", "up arping x"),
        ("iface eth0 inet6 manual\n up ip a a 203.0.113.9/32 dev eth0; reboot\n", "does more"),
        ("", "first address"),
    ],
)
def test_adopting_refuses_to_lose_anything(lines: str, said: str) -> None:
    host = TreeHost({MAIN: ETH0 + lines})
    found = parse(host)[-1]
    with pytest.raises(RefusedError, match=said):
        render(host, replace(found.alias, label=None, number=0), adopt=(found,))


def test_inherited_and_included_addresses_and_repeated_options() -> None:
    files = {
        MAIN: "iface base inet static\n address 192.0.2.9/24\n\nsource more/*\n",
        "/etc/network/more/x": "iface eth0 inet static inherits base\nsource deep\n",
        "/etc/network/more/deep": "iface eth0:7 inet6 static\n address 2001:db8::7/64\n",
        "/etc/network/more/.hidden": "nonsense\n",
    }
    found = parse(TreeHost(files))
    assert [(f.alias.cidr, f.alias.source, f.path, f.line) for f in found] == [
        ("192.0.2.9/24", "auto", MAIN, 2),
        ("2001:db8::7/64", "never", "/etc/network/more/deep", 1),
    ]
    twice = "iface eth0 inet static\n address 192.0.2.1/24\n address 192.0.2.2/24\n"
    assert len(parse(TreeHost({MAIN: twice}))) == 1
    assert len(parse(TreeHost({MAIN: twice}, "ifupdown2"))) == 2


def test_a_broken_file_names_file_and_line() -> None:
    host = TreeHost({MAIN: "source x\n" + ETH0, "/etc/network/x": "auto eth1\nbogus\n"})
    with pytest.raises(ParseError, match=r"^/etc/network/x:2: "):
        parse(host)
    with pytest.raises(ParseError):
        render(host, V4)
    assert ifupdown.detect(host, "eth0").owns
    host = TreeHost({MAIN: ETH0, BATCH: "address replace 203.0.113.1/32 dev eth1\n"})
    with pytest.raises(ParseError, match=f"^{BATCH}:1: "):
        parse(host)


# Flavours


@pytest.mark.parametrize("flavour", ["ifupdown2", "ifupdown-ng"])
def test_successors_get_address_lines(flavour: str) -> None:
    source = {
        "ifupdown2": "source /etc/network/interfaces.d/*.intf\n",
        "ifupdown-ng": "source-directory /etc/network/interfaces.d\n",
    }[flavour]
    own = OWN + (".intf" if flavour == "ifupdown2" else "")
    host = TreeHost({MAIN: ETH0 + source}, flavour)
    hidden = alias("203.0.113.3/32", 3, source="never")
    assert ifupdown.detect(host, "eth0").facts["flavour"] == flavour
    host.write(render(host, V4, SIX, hidden))
    assert "iface eth0\n    # slot 0\n    address 203.0.113.1/32\n" in host.files[own]
    assert "eth0:0" not in host.files[own]
    assert "203.0.113.3" in host.files[BATCH] and "203.0.113.1" not in host.files[BATCH]
    assert {f.alias for f in parse(host, ours=True)} == {V4, SIX, hidden}
    with pytest.raises(UnsupportedError, match="keeps no labels"):
        render(host, replace(V4, label="x"))
    host.write(render(host))
    assert host.files == {MAIN: ETH0 + source}
    early = TreeHost({MAIN: source + ETH0}, flavour)
    early.write(render(early, V4))
    assert "# END ipalias eth0" in early.files[MAIN]
    with pytest.raises(UnsupportedError, match="no stanza"):
        render(TreeHost({MAIN: LO}, flavour), V4)


def test_detect_gives_file_and_line() -> None:
    found = ifupdown.detect(TreeHost({MAIN: GUIDE}), "eth0")
    assert (found.owns, found.strength, found.file) == (True, 2, MAIN)
    assert f"{MAIN}:5 says `iface eth0 inet static`" in found.reasons
    assert ifupdown.detect(TreeHost({MAIN: GUIDE}, None), "eth0").strength == 1
    other = ifupdown.detect(TreeHost({MAIN: GUIDE}), "eth9")
    assert (other.owns, other.strength) == (False, 0)
    assert ifupdown.assume(TreeHost({}, None), "eth9").owns


# Activation

STATE = "/run/network/ifstate"


def change(
    host: TreeHost, new: tuple[Alias, ...], old: tuple[Alias, ...] = (), live: tuple[str, ...] = ()
) -> Change:
    files: tuple[File, ...] = tuple(render(host, *new))
    return Change(
        "eth0",
        ifupdown.assume(host, "eth0"),
        tuple(a for a in new if a.cidr not in {o.cidr for o in old}),
        tuple(a for a in old if a.cidr not in {n.cidr for n in new}),
        tuple(f for f in files if f.text != host.read(f.path)),
        live=frozenset(live),
    )


def test_ifup_brings_up_what_is_new_in_one_call() -> None:
    host = TreeHost({MAIN: TAIL_SOURCE, STATE: "lo=lo\neth0=eth0\n"})
    two, six = alias("203.0.113.2/32", 1, "web"), replace(SIX, number=2)
    done = ifupdown.activate(change(host, (V4, two, six)), host)
    assert [c.argv for c in done.up] == [("ifup", "eth0:0", "eth0:web")]
    assert not done.before and not done.tell and not done.note
    done = ifupdown.activate(change(host, (V4, two), live=(V4.cidr,)), host)
    assert [c.argv for c in done.up] == [("ifup", "eth0:web")]


def test_ifdown_takes_down_what_ifup_recorded() -> None:
    two = alias("203.0.113.2/32", 1)
    host = TreeHost({MAIN: TAIL_SOURCE})
    host.write(render(host, V4, two))
    host.files[STATE] = "eth0=eth0\neth0:1=eth0:1\n"
    done = ifupdown.activate(change(host, (), (V4, two), (V4.cidr, two.cidr)), host)
    assert [c.argv for c in done.before] == [("ifdown", "eth0:1")]
    assert not done.up


def test_a_slot_that_changes_its_address_goes_down_and_up() -> None:
    host = TreeHost({MAIN: TAIL_SOURCE})
    host.write(render(host, V4))
    host.files[STATE] = "eth0=eth0\neth0:0=eth0:0\n"
    other = alias("203.0.113.77/32", 0)
    done = ifupdown.activate(change(host, (other,), (V4,), (V4.cidr,)), host)
    assert [c.argv for c in done.before] == [("ifdown", "eth0:0")]
    assert [c.argv for c in done.up] == [("ifup", "eth0:0")]


def test_ifup_is_not_told_where_it_did_not_bring_the_parent_up() -> None:
    host = TreeHost({MAIN: TAIL_SOURCE, STATE: "lo=lo\n"})
    done = ifupdown.activate(change(host, (V4,)), host)
    assert not done.up and "has not recorded eth0" in done.note
    assert ifupdown.activate(change(host, (V4,)), TreeHost({MAIN: TAIL_SOURCE}, None)).up == ()


def test_validation_reads_only_what_it_has_to() -> None:
    host = TreeHost({MAIN: TAIL_SOURCE})
    one = change(host, (V4,))
    assert [c.argv for c in ifupdown.validate(one, host)] == [
        ("ifquery", "--no-mappings", "eth0:0")
    ]
    assert ifupdown.validate(replace(one, files=()), host) == []
    assert ifupdown.validate(one, TreeHost({MAIN: TAIL_SOURCE}, None)) == []


def test_every_file_of_the_result_is_rendered_also_when_unchanged() -> None:
    host = TreeHost({MAIN: TAIL_SOURCE})
    host.write(render(host, V4, SIX))
    assert {f.path for f in render(host, V4, SIX)} == {OWN, BATCH, HOOK}
    assert {f.mode for f in render(host, V4) if f.path == hook_path("eth0")} == {0o755}


def test_a_backslash_in_a_name_is_a_character_of_the_name() -> None:
    command = parse_command("ip addr add 203.0.113.4/32 dev $IFACE", r"et\h0")
    assert command is not None and command.device == r"et\h0"
