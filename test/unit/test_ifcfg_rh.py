"""Red Hat's ifcfg files: who reads them, what they say, and that an edit is ours alone."""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.tree import TreeHost, commands
from saltext.ipalias.backends import ifcfg_rh, ifcfg_rh_ipv6
from saltext.ipalias.errors import (
    InputError,
    IpaliasError,
    ParseError,
    RefusedError,
    UnsupportedError,
)
from saltext.ipalias.model import Alias, Change, Evidence, Found, Wanted
from saltext.ipalias.text import shellvars

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS") or Path(__file__).resolve().parents[3] / "shared/corpus"
)
FOLDER = "/etc/sysconfig/network-scripts"
ETH0 = f"{FOLDER}/ifcfg-eth0"
PARENT = "DEVICE=eth0\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=192.0.2.2\nNETMASK=255.255.255.0\n"
UUID = "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03"
SERVICE = {
    "systemctl is-enabled network.service": "enabled\n",
    "systemctl is-active network.service": "active\n",
}
EL8 = 'ID="rocky"\nVERSION_ID="8.9"\nPLATFORM_ID="platform:el8"\n'
EL9 = 'ID="rhel"\nVERSION_ID="9.4"\nPLATFORM_ID="platform:el9"\n'
EL10 = 'ID="centos"\nVERSION_ID="10"\nPLATFORM_ID="platform:el10"\n'
KEYFILE = "/etc/NetworkManager/system-connections/eth0.nmconnection"
FIVE, SIX = Alias("2001:db8:1::5", 128, "eth0"), Alias("2001:db8:1::6", 64, "eth0")


def manager(path: str = ETH0, version: str = "1.40.16", state: str = "100 (connected)"):
    return {
        "nmcli -t -f RUNNING,VERSION general": f"running:{version}\n",
        "nmcli -t -f GENERAL.STATE,GENERAL.CON-UUID device show eth0": (
            f"GENERAL.STATE:{state}\nGENERAL.CON-UUID:{UUID if state[:2] != '10 ' else ''}\n"
        ),
        "nmcli -t -f UUID,FILENAME connection show": f"other:/x\n{UUID}:{path}\n",
    }


@pytest.fixture
def host(tmp_path: Path) -> TreeHost:
    """Return a host with network-scripts."""
    made = TreeHost(tmp_path, dict(SERVICE))
    made.write(f"{FOLDER}/ifup-aliases", "#!/bin/bash\n")
    made.write(ETH0, PARENT)
    return made


def on_manager(host: TreeHost, release: str = EL8, **how: str) -> TreeHost:
    """Let NetworkManager read the files, without network-scripts."""
    host.at(f"{FOLDER}/ifup-aliases").unlink(missing_ok=True)
    host.answers = manager(**how)
    host.write("/etc/os-release", release)
    return host


def put(host: TreeHost, name: str, text: str) -> str:
    path = f"{FOLDER}/ifcfg-{name}"
    host.write(path, text)
    return path


def parse(host: TreeHost, interface: str = "eth0") -> list[Found]:
    return ifcfg_rh.parse(host, ifcfg_rh.assume(host, interface))


def cidrs(host: TreeHost, interface: str = "eth0") -> list[str]:
    return [found.alias.cidr for found in parse(host, interface)]


def alias(cidr: str, number: int | None = 0, label: str | None = None) -> Alias:
    address, _, prefix = cidr.partition("/")
    return Alias(address, int(prefix or 32), "eth0", label, number=number)


def write(host: TreeHost, *aliases: Alias, former: Any = (), adopt: Any = ()) -> Change:
    """Render an interface's list and store it."""
    evidence = ifcfg_rh.assume(host, "eth0")
    wanted = Wanted("eth0", aliases, evidence, tuple(former), tuple(adopt))
    return Change("eth0", evidence, aliases, (), tuple(host.store(ifcfg_rh.render(wanted, host))))


def place(error: Any) -> str:
    return str(error.value)


class TestWhoReads:
    def found(self, host: TreeHost) -> tuple[bool, int, str, str | None]:
        evidence = ifcfg_rh.detect(host, "eth0")
        return evidence.owns, evidence.strength, evidence.facts.get("reader", ""), evidence.file

    def test_the_scripts_where_they_are_installed(self, host: TreeHost) -> None:
        assert self.found(host) == (True, 2, "network-scripts", ETH0)
        said = "; ".join(ifcfg_rh.detect(host, "eth0").reasons)
        assert "network.service is enabled and active" in said

    def test_an_old_init_is_asked_by_chkconfig(self, host: TreeHost) -> None:
        host.answers = {"chkconfig --list network": "network\t2:on\t3:on\t4:on\t5:on\n"}
        assert "network is on at boot" in "; ".join(ifcfg_rh.detect(host, "eth0").reasons)

    def test_nobody_where_neither_is_there(self, host: TreeHost) -> None:
        host.at(f"{FOLDER}/ifup-aliases").unlink()
        assert self.found(host) == (True, 1, "", ETH0)
        assert (
            "nothing reads the files now"
            in ifcfg_rh.activate(write(host, alias("198.51.100.10")), host).note
        )

    def test_networkmanager_by_the_file_of_its_profile(self, host: TreeHost) -> None:
        """Also beside the scripts: `ifup` itself hands the link to nmcli then."""
        host.answers = {**SERVICE, **manager()}
        assert self.found(host) == (True, 3, "networkmanager", ETH0)

    def test_an_old_nmcli_that_tells_no_file_means_this_one(self, host: TreeHost) -> None:
        host.answers = {**SERVICE, **manager(version="1.0.6")}
        del host.answers["nmcli -t -f UUID,FILENAME connection show"]
        assert self.found(host) == (True, 3, "networkmanager", ETH0)

    def test_the_scripts_where_networkmanager_leaves_the_link_alone(self, host: TreeHost) -> None:
        host.answers = {**SERVICE, **manager(state="10 (unmanaged)")}
        assert self.found(host) == (True, 2, "network-scripts", ETH0)
        host.answers = {**SERVICE, **manager(state="100 (connected (externally))")}
        assert self.found(host) == (True, 2, "network-scripts", ETH0)

    @pytest.mark.parametrize("release", [EL8, EL9, EL10])
    def test_not_this_dialect_where_the_profile_is_a_keyfile(
        self, host: TreeHost, release: str
    ) -> None:
        on_manager(host, release, path=KEYFILE)
        owns, strength, reader, _ = self.found(host)
        assert (owns, strength, reader) == (False, 0, "")
        assert f"its profile is {KEYFILE}" in "; ".join(ifcfg_rh.detect(host, "eth0").reasons)

    @pytest.mark.parametrize("release", [EL9, EL10])
    def test_no_scripts_on_a_late_release_even_if_somebody_put_them_there(
        self, host: TreeHost, release: str
    ) -> None:
        host.write("/etc/os-release", release)
        owns, strength, _, _ = self.found(host)
        assert (owns, strength) == (False, 0)

    def test_networkmanager_of_el6_is_asked_in_its_own_words(self, host: TreeHost) -> None:
        class Old(TreeHost):
            def run(self, argv: Any, stdin: Any = None, timeout: float = 15.0) -> Any:
                found = super().run(argv, stdin, timeout)
                return found._replace(code=2) if found.code and argv[0] == "nmcli" else found

        old = Old(host.root, {"nmcli -t -f RUNNING nm": "running\n"})
        old.answers["nmcli -t -f DEVICE,STATE dev"] = "eth0:connected\n"
        assert self.found(old) == (True, 3, "networkmanager", ETH0)
        with pytest.raises(UnsupportedError, match=r"reads no alias files.*NM_CONTROLLED=no"):
            write(old, alias("198.51.100.10"))
        old.answers["nmcli -t -f DEVICE,STATE dev"] = "eth0:unmanaged\n"
        assert self.found(old) == (True, 2, "network-scripts", ETH0)

    def test_a_file_by_its_device_or_its_hardware_address(self, host: TreeHost) -> None:
        put(host, "eth0", PARENT.replace("DEVICE=eth0", "DEVICE=eth1"))
        assert self.found(host)[0] is False
        path = put(host, "uplink", PARENT.replace("DEVICE=eth0\n", "HWADDR=02:00:00:00:00:0A\n"))
        host.link("eth0", 2, "02:00:00:00:00:0a")
        assert self.found(host) == (True, 2, "network-scripts", path)
        for name in ("eth0.bak", "eth0~", "eth0.rpmsave"):
            put(host, name, PARENT)
        assert self.found(host)[3] == path

    def test_a_file_that_cannot_be_read_is_named_when_it_is_read(self, host: TreeHost) -> None:
        put(host, "eth0", PARENT + 'NAME="System\n')
        assert self.found(host)[0] is True
        with pytest.raises(ParseError) as error:
            parse(host)
        assert place(error).startswith(f"{ETH0}:6: ")

    def test_no_file_no_question(self, tmp_path: Path) -> None:
        evidence = ifcfg_rh.detect(TreeHost(tmp_path), "eth0")
        assert evidence.reasons == (f"there is no file {FOLDER}/ifcfg-*",)

    @pytest.mark.parametrize(
        ("path", "text", "release"),
        [
            ("/etc/os-release", 'ID="ol"\nVERSION_ID="9.3"\n', "9"),
            ("/etc/os-release", 'ID=almalinux\nVERSION_ID="8.9"\n', "8"),
            ("/etc/os-release", 'ID="x"\nID_LIKE="rhel fedora"\nVERSION_ID="9"\n', "9"),
            ("/etc/os-release", 'ID="amzn"\nID_LIKE="rhel fedora"\nVERSION_ID="2018.03"\n', None),
            ("/etc/os-release", "ID=fedora\nVERSION_ID=25\n", None),
            ("/etc/redhat-release", "CentOS release 6.10 (Final)\n", "6"),
            ("/etc/redhat-release", "Fedora release 12 (Constantine)\n", None),
        ],
    )
    def test_the_release(self, host: TreeHost, path: str, text: str, release: str | None) -> None:
        host.write(path, text)
        assert ifcfg_rh.detect(host, "eth0").facts.get("release") == release


class TestReading:
    def test_an_alias_inherits_the_parents_mask(self, host: TreeHost) -> None:
        put(host, "eth0:0", "IPADDR=198.51.100.10\n")
        assert cidrs(host) == ["192.0.2.2/24", "198.51.100.10/24"]
        assert parse(host)[1].alias.label == "eth0:0"

    def test_the_parents_prefix_beats_the_aliass_own_mask(self, host: TreeHost) -> None:
        """`ifup-aliases` begins with it, and looks at the mask only without a prefix."""
        put(host, "eth0", PARENT.replace("NETMASK=255.255.255.0", "PREFIX=24"))
        put(host, "eth0:0", "DEVICE=eth0:0\nIPADDR=198.51.100.10\nNETMASK=255.255.255.255\n")
        assert cidrs(host)[1] == "198.51.100.10/24"
        on_manager(host)
        assert cidrs(host)[1] == "198.51.100.10/32"

    def test_the_first_addresss_prefix_is_an_aliass_for_networkmanager(
        self, host: TreeHost
    ) -> None:
        put(host, "eth0", "DEVICE=eth0\nIPADDR0=192.0.2.2\nPREFIX0=26\n")
        put(host, "eth0:0", "DEVICE=eth0:0\nIPADDR=198.51.100.10\n")
        assert cidrs(host)[1] == "198.51.100.10/24", "the class's, by the scripts"
        assert cidrs(on_manager(host))[1] == "198.51.100.10/26"

    def test_without_any_mask_the_class_of_the_address(self, host: TreeHost) -> None:
        put(host, "eth0", "DEVICE=eth0\nIPADDR=10.1.2.3\nIPADDR1=172.16.0.1\nIPADDR2=192.0.2.1\n")
        assert cidrs(host) == ["10.1.2.3/8", "172.16.0.1/16", "192.0.2.1/24"]

    def test_numbered_addresses_end_at_the_first_gap_from_two_on(self, host: TreeHost) -> None:
        text = "DEVICE=eth0\n" + "".join(
            f"IPADDR{n}=192.0.2.{n or 99}\nPREFIX{n}=32\n" for n in ("", 0, 2, 3, 5)
        )
        put(host, "eth0", text.replace("IPADDR0=192.0.2.99", "IPADDR0=192.0.2.10"))
        assert cidrs(host) == ["192.0.2.99/32", "192.0.2.10/32", "192.0.2.2/32", "192.0.2.3/32"]

    def test_a_lease_leaves_static_addresses_out_for_the_scripts_alone(
        self, host: TreeHost
    ) -> None:
        put(host, "eth0", PARENT.replace("none", "dhcp"))
        put(host, "eth0:0", "DEVICE=eth0:0\nIPADDR=198.51.100.10\nPREFIX=32\n")
        assert cidrs(host) == ["198.51.100.10/32"]
        assert cidrs(on_manager(host)) == ["192.0.2.2/24", "198.51.100.10/32"]

    def test_the_last_assignment_counts(self, host: TreeHost) -> None:
        put(host, "eth0", PARENT + "IPADDR=192.0.2.3\nIPADDR='192.0.2.4'\n")
        (found,) = parse(host)
        assert (found.alias.cidr, found.line) == ("192.0.2.4/24", 7)

    def test_an_address_in_two_files_is_the_firsts(self, host: TreeHost) -> None:
        first = put(host, "eth0:0", "DEVICE=eth0:0\nIPADDR=198.51.100.10\nPREFIX=32\n")
        put(host, "eth0:1", "DEVICE=eth0:1\nIPADDR=198.51.100.10\nPREFIX=24\n")
        assert [(f.alias.cidr, f.path) for f in parse(host)[1:]] == [("198.51.100.10/32", first)]

    @pytest.mark.parametrize(
        "text",
        [
            "DEVICE=eth0:0\nIPADDR=198.51.100.10\nPREFIX=32\nONPARENT=no\n",
            "DEVICE=eth1:0\nIPADDR=198.51.100.10\nPREFIX=32\n",
            "DEVICE=eth0:a-b\nIPADDR=198.51.100.10\nPREFIX=32\n",
            "DEVICE=eth0:0\n",
            # The French guide's line, as it is printed: all behind the # is a comment.
            'DEVICE="eth0:0" ONBOOT="yes" BOOTPROTO="none" # For CentOS use "static"'
            ' IPADDR="198.51.100.10" NETMASK="255.255.255.255"\n',
        ],
    )
    def test_what_the_scripts_pass_over_and_the_name_stays_taken(
        self, host: TreeHost, text: str
    ) -> None:
        put(host, "eth0:0", text)
        assert cidrs(host) == ["192.0.2.2/24"]
        assert ifcfg_rh.detect(host, "eth0").facts["taken"] == "0"
        with pytest.raises(RefusedError) as error:
            write(host, alias("198.51.100.11"))
        assert f"{FOLDER}/ifcfg-eth0:0: " in place(error)

    def test_onboot_of_an_alias_says_nothing(self, host: TreeHost) -> None:
        put(host, "eth0:0", "DEVICE=eth0:0\nIPADDR=198.51.100.10\nPREFIX=32\nONBOOT=no\n")
        assert cidrs(host)[1:] == ["198.51.100.10/32"]

    def test_a_device_that_differs_from_the_name(self, host: TreeHost) -> None:
        put(host, "eth0:0", "DEVICE=eth0:web\nIPADDR=198.51.100.10\nPREFIX=32\n")
        assert [f.alias.label for f in parse(host)[1:]] == ["eth0:web"]
        assert cidrs(on_manager(host)) == ["192.0.2.2/24"], "the plugin wants it to be the same"

    def test_a_range(self, host: TreeHost) -> None:
        text = "IPADDR_START=198.51.100.10\nIPADDR_END=198.51.100.12\nCLONENUM_START=4\n"
        put(host, "eth0-range0", text + "NETMASK=255.255.255.255\n")
        found = [(f.alias.cidr, f.alias.label) for f in parse(host)[1:]]
        assert found == [(f"198.51.100.1{n}/32", f"eth0:{n + 4}") for n in range(3)]
        put(host, "eth0-range0", text.replace("END=198.51.100", "END=198.51.101"))
        assert cidrs(host) == ["192.0.2.2/24"], "start and end don't agree"
        put(host, "eth0-range0", text.replace("=4", "="))
        with pytest.raises(ParseError, match=r"range0:3: `CLONENUM_START=` is no number"):
            parse(host)
        assert cidrs(on_manager(host)) == ["192.0.2.2/24"], "the plugin knows no ranges"

    def test_ipv6_of_the_parent_and_of_an_alias(self, host: TreeHost) -> None:
        put(host, "eth0", PARENT + 'IPV6ADDR=2001:DB8::2\nIPV6ADDR_SECONDARIES="2001:db8::3/128"\n')
        put(
            host,
            "eth0:0",
            "DEVICE=eth0:0\nIPADDR=198.51.100.1\nPREFIX=32\nIPV6ADDR=2001:db8::4/128\n",
        )
        assert [(f.alias.cidr, f.ours) for f in parse(host)] == [
            ("192.0.2.2/24", False),
            ("2001:db8::2/64", False),
            ("2001:db8::3/128", None),
            ("198.51.100.1/32", False),
            ("2001:db8::4/128", False),
        ]
        assert cidrs(on_manager(host))[-1] == "198.51.100.1/32"

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("IPADDR=192.0.2.300", "is no IPv4 address"),
            ("IPADDR=YOUR_IP", "is no IPv4 address"),
            ("PREFIX=33", "is no prefix length"),
            ("NETMASK=255.0.255.0", "is no netmask"),
            ("NETMASK=0.0.0.255", "is no netmask"),
            ("IPADDR=$(cat /etc/ip)", "only a shell can tell"),
            ("IPADDR=$FIRST", "only a shell can tell"),
            ("IPV6ADDR_SECONDARIES='2001:db8::1/129'", "is no IPv6 address"),
            ("IPV6ADDR=192.0.2.1", "is no IPv6 address"),
            ("[ -f /x ] && IPADDR=192.0.2.9", "only a shell can tell"),
            ("if true; then IPADDR=192.0.2.9; fi", "only a shell can tell"),
            ("NAME='open", "is not closed"),
            ("IPADDR=192.0.2.9\r", "a carriage return"),
        ],
    )
    def test_what_is_refused_with_file_and_line(self, host: TreeHost, line: str, said: str) -> None:
        put(host, "eth0", f"{PARENT}{line}\n")
        with pytest.raises(ParseError) as error:
            parse(host)
        assert place(error).startswith(f"{ETH0}:6: ")
        assert said in place(error)

    def test_a_carriage_return_in_a_comment_harms_nobody(self, host: TreeHost) -> None:
        put(host, "eth0", f"# a comment\r\n\r\n{PARENT}")
        assert cidrs(host) == ["192.0.2.2/24"]

    def test_carriage_returns_are_blanks_to_networkmanager(self, host: TreeHost) -> None:
        put(host, "eth0", PARENT.replace("\n", "\r\n"))
        with pytest.raises(ParseError):
            parse(host)
        assert cidrs(on_manager(host)) == ["192.0.2.2/24"]

    def test_a_file_of_ours_that_somebody_changed_is_still_read(self, host: TreeHost) -> None:
        write(host, alias("198.51.100.10", 3, "web"))
        path = f"{FOLDER}/ifcfg-eth0:web"
        host.write(path, (host.read(path) or "") + "ZONE=dmz\n")
        (found,) = parse(host)[1:]
        assert (found.alias, found.ours) == (alias("198.51.100.10", 3, "web"), True)


class TestWriting:
    def test_centos_and_a_static_parent_say_static(self, host: TreeHost) -> None:
        write(host, alias("198.51.100.10"))
        path = f"{FOLDER}/ifcfg-eth0:0"
        assert 'BOOTPROTO="none"' in (host.read(path) or "")
        host.write("/etc/centos-release", "CentOS Linux release 7.9.2009 (Core)\n")
        write(host, alias("198.51.100.10"))
        assert 'BOOTPROTO="static"' in (host.read(path) or "")

    def test_numbers_for_who_has_none_and_they_stay(self, host: TreeHost) -> None:
        put(host, "eth0:0", "DEVICE=eth0:0\nONPARENT=no\n")
        listed = [alias(f"198.51.100.{n}", None) for n in (1, 2)]
        write(host, *listed)
        assert [f.alias.number for f in parse(host)[1:]] == [1, 2]
        assert write(host, *listed).files == ()

    def test_a_label_that_no_file_name_may_hold(self, host: TreeHost) -> None:
        for label in ("fail-over", "a.b", "eth0:a b", "é"):
            with pytest.raises(InputError, match="letters, digits and `_`"):
                write(host, alias("198.51.100.10", 0, label))
        with pytest.raises(InputError, match="16 characters"):
            write(host, alias("198.51.100.10", 0, "failover123"))
        long = Alias("198.51.100.10", 32, "enp130s0f1np10", number=0)
        with pytest.raises(InputError, match="alias 0 becomes 'enp130s0f1np10:0'"):
            ifcfg_rh.live_label(long)

    def test_two_that_would_have_one_name(self, host: TreeHost) -> None:
        with pytest.raises(InputError, match="both get the label 'eth0:7'"):
            write(host, alias("198.51.100.10", 7), alias("198.51.100.11", 0, "7"))

    def test_a_name_that_cannot_stand_in_a_file(self, host: TreeHost) -> None:
        evidence = Evidence("ifcfg_rh", "a b", True, 2, facts={"reader": "network-scripts"})
        with pytest.raises(InputError, match="cannot be written to ifcfg files"):
            ifcfg_rh.render(Wanted("a b", (), evidence), host)

    @pytest.mark.parametrize("line", ["BRIDGE=br0", "MASTER=bond0\nSLAVE=yes", "TEAM_MASTER=team0"])
    def test_a_part_of_another_interface_is_refused(self, host: TreeHost, line: str) -> None:
        put(host, "eth0", f"{PARENT}{line}\n")
        with pytest.raises(UnsupportedError) as error:
            write(host, alias("198.51.100.10"))
        assert place(error).startswith(f"{ETH0}:6: ")
        assert f"put the aliases on {line.split(chr(10))[0].partition('=')[2]}" in place(error)

    def test_no_file_of_the_interface(self, host: TreeHost) -> None:
        host.at(ETH0).unlink()
        put(host, "eth1", PARENT.replace("eth0", "eth1"))
        with pytest.raises(UnsupportedError, match=f"write {ETH0}"):
            write(host, alias("198.51.100.10"))

    @pytest.mark.parametrize(
        ("line", "network", "plugin", "said"),
        [
            ("IPV6INIT=no", "", False, f"{ETH0}:6 says IPV6INIT=no"),
            ("IPV6INIT=0", "IPV6INIT=yes", False, f"{ETH0}:6 says IPV6INIT=0"),
            ("", "IPV6INIT=no", False, "/etc/sysconfig/network:1 says IPV6INIT=no"),
            ("", "", True, "has no IPV6INIT, which NetworkManager takes for no"),
            ("IPV6INIT=maybe", "", True, f"{ETH0}:6 says IPV6INIT=maybe"),
            ("", "", False, ""),
            ("IPV6INIT=yes", "IPV6INIT=no", True, ""),
            ("", "IPV6INIT=yes", True, ""),
        ],
    )
    def test_the_switch_of_ipv6(
        self, host: TreeHost, line: str, network: str, plugin: bool, said: str
    ) -> None:
        put(host, "eth0", f"{PARENT}{line}\n")
        host.write("/etc/sysconfig/network", f"{network}\n")
        if plugin:
            on_manager(host)
        if not said:
            write(host, FIVE)
            return
        with pytest.raises(UnsupportedError) as error:
            write(host, FIVE)
        assert said in place(error)
        assert "IPV6INIT=yes" in place(error)

    def test_a_foreign_alias_must_not_take_the_ipv6_switch_from_ours(self, host: TreeHost) -> None:
        text = "DEVICE=eth0:z\nIPADDR=198.51.100.1\nPREFIX=32\nIPV6ADDR=2001:db8::4/128\n"
        path = put(host, "eth0:z", text)
        with pytest.raises(UnsupportedError) as error:
            write(host, alias("198.51.100.10"))
        assert f"{path}:4: " in place(error)
        put(host, "eth0:z", f"{text}IPV6INIT=yes\n")
        write(host, alias("198.51.100.10"))

    def test_networkmanager_takes_alias_files_of_its_profiles_name_alone(
        self, host: TreeHost
    ) -> None:
        host.at(ETH0).unlink()
        path = put(host, "uplink", PARENT)
        on_manager(host, path=path)
        with pytest.raises(UnsupportedError, match="rename it to ifcfg-eth0"):
            write(host, alias("198.51.100.10"))

    def test_a_list_put_together_by_the_shell_is_refused(self, host: TreeHost) -> None:
        for line, said in (
            ('IPV6ADDR_SECONDARIES+=" 2001:db8::9/64"', "put together"),
            ("IPV6ADDR_SECONDARIES='2001:db8::9/64'\"\"", "written in pieces"),
        ):
            put(host, "eth0", f"{PARENT}IPV6INIT=yes\n{line}\n")
            with pytest.raises(UnsupportedError) as error:
                write(host, FIVE)
            assert f"{ETH0}:7: " in place(error)
            assert said in place(error)

    def test_nothing_is_put_behind_a_line_that_goes_on(self, host: TreeHost) -> None:
        put(host, "eth0", f"{PARENT}NAME=a\\\n")
        with pytest.raises(ParseError, match="backslash"):
            write(host, FIVE)

    def test_a_list_of_somebodys_that_comes_later_takes_ours_in(self, host: TreeHost) -> None:
        write(host, FIVE)
        host.write(ETH0, (host.read(ETH0) or "") + 'IPV6ADDR_SECONDARIES="2001:db8::9/64"\n')
        write(host, FIVE, SIX, former=[FIVE])
        text = host.read(ETH0) or ""
        assert "BEGIN" not in text
        assert 'S="2001:db8::9/64 2001:db8:1::5/128 2001:db8:1::6/64"\n' in text
        write(host, former=[FIVE, SIX])
        assert host.read(ETH0) == f'{PARENT}IPV6ADDR_SECONDARIES="2001:db8::9/64"\n'

    def test_an_empty_list_stays_empty(self, host: TreeHost) -> None:
        for value in ('""', "''", ""):
            text = put(host, "eth0", f"{PARENT}IPV6ADDR_SECONDARIES={value}\n") and host.read(ETH0)
            write(host, FIVE, SIX)
            assert cidrs(host)[1:] == ["2001:db8:1::5/128", "2001:db8:1::6/64"]
            write(host, former=[FIVE, SIX])
            assert host.read(ETH0) == text


class TestAdopting:
    def adopt(self, host: TreeHost, *listed: str) -> list[Found]:
        return [found for found in parse(host) if found.alias.address in listed]

    def test_a_file_under_the_same_name(self, host: TreeHost) -> None:
        path = put(
            host, "eth0:0", "DEVICE=eth0:0\nIPADDR=198.51.100.10\nPREFIX=32\nTYPE=Ethernet\n"
        )
        change = write(host, alias("198.51.100.10"), adopt=self.adopt(host, "198.51.100.10"))
        assert [(f.path, f.owned) for f in change.files] == [(path, False)]
        assert [f.ours for f in parse(host)] == [False, True]

    def test_a_file_under_another_name_goes(self, host: TreeHost) -> None:
        path = put(host, "eth0:web", "IPADDR=198.51.100.10\nPREFIX=32\n")
        write(host, alias("198.51.100.10"), adopt=self.adopt(host, "198.51.100.10"))
        assert host.read(path) is None
        assert cidrs(host) == ["192.0.2.2/24", "198.51.100.10/32"]

    def test_a_numbered_address_of_the_parent(self, host: TreeHost) -> None:
        more = (
            "IPADDR1=198.51.100.10\nPREFIX1=32\nARPCHECK1=no\nIPADDR2=198.51.100.12\nPREFIX2=32\n"
        )
        put(host, "eth0", f"{PARENT}{more}")
        write(host, alias("198.51.100.10"), adopt=self.adopt(host, "198.51.100.10"))
        assert host.read(ETH0) == f"{PARENT}IPADDR2=198.51.100.12\nPREFIX2=32\n"
        assert sorted(cidrs(host)) == ["192.0.2.2/24", "198.51.100.10/32", "198.51.100.12/32"]

    def test_one_that_would_take_another_along_is_refused(self, host: TreeHost) -> None:
        more = "".join(f"IPADDR{n}=198.51.100.1{n}\nPREFIX{n}=32\n" for n in (2, 3))
        put(host, "eth0", f"{PARENT}{more}")
        with pytest.raises(RefusedError, match=r"ifcfg-eth0:6: IPADDR2 cannot be taken out alone"):
            write(host, alias("198.51.100.12"), adopt=self.adopt(host, "198.51.100.12"))
        write(host, alias("198.51.100.13"), adopt=self.adopt(host, "198.51.100.13"))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "IPADDR=198.51.100.10\nPREFIX=32\nGATEWAY=198.51.100.1\n",
                ":3: `GATEWAY` would be lost",
            ),
            (
                "IPADDR=198.51.100.10\nPREFIX=32\nIPV6ADDR=2001:db8::7/64\n",
                ":3: 2001:db8::7/64 would go",
            ),
        ],
    )
    def test_a_file_that_says_more_is_refused(self, host: TreeHost, text: str, said: str) -> None:
        put(host, "eth0:web", text)
        with pytest.raises(RefusedError) as error:
            write(host, alias("198.51.100.10"), adopt=self.adopt(host, "198.51.100.10"))
        assert said in place(error)

    def test_a_range_goes_whole_or_stays(self, host: TreeHost) -> None:
        text = "IPADDR_START=198.51.100.10\nIPADDR_END=198.51.100.11\nCLONENUM_START=4\nPREFIX=32\n"
        path = put(host, "eth0-range0", text)
        with pytest.raises(RefusedError, match=r"198\.51\.100\.11/32 would go with"):
            write(host, alias("198.51.100.10"), adopt=self.adopt(host, "198.51.100.10"))
        both = self.adopt(host, "198.51.100.10", "198.51.100.11")
        write(host, alias("198.51.100.10", 4), alias("198.51.100.11", 5), adopt=both)
        assert host.read(path) is None

    def test_ipv6_in_the_list_stays_where_it_is(self, host: TreeHost) -> None:
        text = f'{PARENT}IPV6ADDR_SECONDARIES="2001:db8:1::5/128 2001:db8::9/64"\n'
        put(host, "eth0", text)
        write(host, FIVE, adopt=self.adopt(host, FIVE.address))
        assert host.read(ETH0) == text
        write(host, adopt=self.adopt(host, FIVE.address))
        assert host.read(ETH0) == text.replace("2001:db8:1::5/128 ", ""), "purged"

    def test_the_parents_own_ipv6_address_is_refused(self, host: TreeHost) -> None:
        put(host, "eth0", f"{PARENT}IPV6ADDR=2001:db8:1::5/128\n")
        with pytest.raises(RefusedError, match="the interface's own IPV6ADDR"):
            write(host, FIVE, adopt=self.adopt(host, FIVE.address))


class TestTelling:
    def test_networkmanager_loads_the_parent(self, host: TreeHost) -> None:
        on_manager(host)
        change = write(host, alias("198.51.100.10"))
        activation = ifcfg_rh.activate(change, host)
        assert commands(activation) == [f"nmcli connection load {ETH0}"]
        assert activation.note == ""

    def test_the_scripts_are_told_nothing(self, host: TreeHost) -> None:
        """`ifdown` of an alias takes every IPv6 address of the link away."""
        change = write(host, alias("198.51.100.10"))
        assert commands(ifcfg_rh.activate(change, host)) == []

    @pytest.mark.parametrize(
        ("plugin", "scope", "said"),
        [
            (False, "alias", ["ifup eth0:0", "ifup eth0:web"]),
            (False, "interface", ["ifdown eth0", "ifup eth0"]),
            (False, "network", ["systemctl restart network.service"]),
            (True, "alias", [f"nmcli connection load {ETH0}"]),
            (True, "interface", ["nmcli device connect eth0"]),
            (True, "network", ["systemctl restart NetworkManager.service"]),
        ],
    )
    def test_the_restart_levels(
        self, host: TreeHost, plugin: bool, scope: str, said: list[str]
    ) -> None:
        if plugin:
            on_manager(host)
        write(host, alias("198.51.100.10"), alias("198.51.100.11", 1, "web"))
        put(host, "eth0:9", "DEVICE=eth0:9\nIPADDR=198.51.100.99\n")
        ran = ifcfg_rh.restart(ifcfg_rh.detect(host, "eth0"), scope, host)
        assert [" ".join(command.argv) for command in ran] == said

    def test_an_old_init_restarts_by_service(self, host: TreeHost) -> None:
        host.answers = {}
        (ran,) = ifcfg_rh.restart(ifcfg_rh.detect(host, "eth0"), "network", host)
        assert ran.argv == ("service", "network", "restart")


# What a real shell and real files say


def sourced(shell: str, path: Path, *names: str) -> list[str]:
    """Return what a shell holds after it has sourced a file."""
    script = f'. "{path}"; ' + "; ".join(f'printf "%s\\0" "${{{name}}}"' for name in names)
    ran = subprocess.run([shell, "-c", script], capture_output=True, check=True)
    assert ran.stderr == b""
    return ran.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


KEYS = ("DEVICE", "ONBOOT", "ONPARENT", "BOOTPROTO", "IPADDR", "PREFIX", "NETMASK", "BROADCAST")


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_shell_reads_what_was_written(host: TreeHost, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    write(host, alias("203.0.113.5/25", 3, "fo_1"), FIVE, SIX)
    got = sourced(shell, host.at(f"{FOLDER}/ifcfg-eth0:fo_1"), *KEYS, "ARPCHECK")
    broadcast = ["203.0.113.5", "25", "255.255.255.128", "203.0.113.127"]
    assert got == ["eth0:fo_1", "yes", "yes", "none", *broadcast, "no"]
    (listed,) = sourced(shell, host.at(ETH0), "IPV6ADDR_SECONDARIES")
    assert listed == f"{FIVE.cidr} {SIX.cidr}"


def test_shellcheck_finds_nothing_in_an_alias_file(host: TreeHost) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not here")
    write(host, alias("203.0.113.5/25", 3, "fo_1"))
    path = host.at(f"{FOLDER}/ifcfg-eth0:fo_1")
    # SC2034: the variables are for who sources it.
    ran = subprocess.run(
        ["shellcheck", "-s", "bash", "-e", "SC2034", str(path)], capture_output=True, text=True
    )
    assert ran.stdout == ""


def changed_lines(before: str, after: str) -> list[str]:
    pieces = before.split("\n"), after.split("\n")
    return [line for line in difflib.ndiff(*pieces) if line[:1] in "+-"]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no real files at {CORPUS}")
@pytest.mark.parametrize(
    "path", sorted((CORPUS / "ifcfg_rh").glob("*")), ids=lambda path: path.name
)
def test_the_corpus(path: Path, host: TreeHost) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    device = shellvars.parse(text, path.name).get("DEVICE")
    assert device is not None
    assert device.value
    host.at(ETH0).unlink()
    name = put(host, device.value, text)
    link = device.value.partition(":")[0]
    if ":" in device.value:
        put(host, link, PARENT.replace("eth0", link))
    before, read = host.texts(), parse(host, link)
    assert all(found.path != name or not found.ours for found in read)
    four = Alias("203.0.113.77", 32, link, "ours")
    six = Alias("2001:db8:1::77", 128, link)
    evidence = ifcfg_rh.assume(host, link)
    wanted = Wanted(link, (four, six), evidence)
    if "BRIDGE=" in text:
        with pytest.raises(UnsupportedError) as error:
            ifcfg_rh.render(wanted, host)
        assert place(error).startswith(f"{name}:7: BRIDGE=br0")
        return
    host.store(ifcfg_rh.render(wanted, host))
    after = host.texts()
    own = f"{FOLDER}/ifcfg-{link}:ours"
    assert set(after) - set(before) == {own}
    for file, old in before.items():
        lines = changed_lines(old, after[file])
        assert lines == [] or (len(lines) == 3 and all(line[0] == "+" for line in lines))
    now = {found.alias.cidr for found in parse(host, link)}
    assert now == {found.alias.cidr for found in read} | {four.cidr, six.cidr}
    again = Wanted(link, (four, six), evidence, (four, six))
    assert host.store(ifcfg_rh.render(again, host)) == []
    host.store(ifcfg_rh.render(Wanted(link, (), evidence, (four, six)), host))
    assert host.texts() == before


# Properties

WORD = st.sampled_from(["2001:db8::a", "2001:db8::b/64", "2001:DB8::C/128", "fd00::1/48"])
GAP = st.sampled_from([" ", "  ", "\t", " \\\n "])
LINE = st.sampled_from(
    [
        "# K\udcfcche", "ZONE=public", "", "function up { :; }", "export NAME='a b'",
        "IPV6ADDR_SECONDARIES=2001:db8::d/64", "  DNS1=192.0.2.53  # x", "if [ -f x ]; then :; fi",
        "# IPV6ADDR_SECONDARIES=\"2001:db8::e\"", "IPV6ADDR_SECONDARIES=\"\"; MTU=1400",
    ]
)  # fmt: skip


@st.composite
def parents(draw: st.DrawFn) -> str:
    """Draw a parent's text: with lists in each kind of quotes, at several places, or none."""
    lines = [*PARENT.splitlines(), *draw(st.lists(LINE, max_size=5))]
    if draw(st.booleans()):
        words, quote = draw(st.lists(WORD, max_size=3, unique=True)), draw(st.sampled_from("\"'B"))
        gap = draw(GAP)
        if quote == "B":
            value = "\\ ".join(words)
        else:
            value = f"{quote}{(' ' if quote == chr(39) else gap).join(words)}{quote}"
        tail = draw(st.sampled_from(["", " # ours?", "; MTU=9000"]))
        lines.append(f"IPV6ADDR_SECONDARIES={value}{tail}")
        lines += draw(st.lists(LINE.filter(lambda line: "SECONDARIES" not in line), max_size=2))
    return "\n".join(lines) + draw(st.sampled_from(["\n", ""]))


ADDRESSES = st.lists(st.integers(1, 60), max_size=5, unique=True)


@settings(deadline=None)
@given(text=parents(), first=ADDRESSES, second=ADDRESSES)
def test_our_words_come_and_go_and_no_other_byte_moves(
    text: str, first: list[int], second: list[int]
) -> None:
    one, two = ([f"2001:db8:1::{n:x}/128" for n in listed] for listed in (first, second))
    with_one = ifcfg_rh_ipv6.edit(text, ETH0, "eth0", one, set())
    assert ifcfg_rh_ipv6.edit(with_one, ETH0, "eth0", one, set(one)) == with_one
    with_two = ifcfg_rh_ipv6.edit(with_one, ETH0, "eth0", two, set(one))
    said = shellvars.parse(with_two, ETH0).get("IPV6ADDR_SECONDARIES")
    before = shellvars.parse(text, ETH0).get("IPV6ADDR_SECONDARIES")
    words = (before.value or "").split() if before else []
    now = (said.value or "").split() if said else []
    assert now[: len(words)] == words
    assert sorted(now[len(words) :]) == sorted(two)
    assert ifcfg_rh_ipv6.edit(with_two, ETH0, "eth0", [], set(two)) == text


@settings(max_examples=40, deadline=None)
@given(text=parents(), first=ADDRESSES)
def test_bash_reads_our_words_behind_the_others(
    text: str, first: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not here")
    listed = [f"2001:db8:1::{n:x}/128" for n in first]
    path = tmp_path_factory.mktemp("sourced") / "ifcfg"
    edited = ifcfg_rh_ipv6.edit(text, ETH0, "eth0", listed, set())
    lists = []
    for source in (text, edited):
        path.write_bytes(source.encode("utf-8", "surrogateescape"))
        lists.append(sourced("bash", path, "IPV6ADDR_SECONDARIES")[0].split())
    assert lists[1] == [*lists[0], *listed]


OWN = st.builds(
    lambda last, prefix, number, label: Alias(
        f"203.0.113.{last}", prefix, "eth0", label, number=number
    ),
    st.integers(1, 254),
    st.integers(1, 32),
    st.integers(0, 999),
    st.one_of(st.none(), st.from_regex(r"[0-9A-Za-z_]{1,10}", fullmatch=True)),
)


@settings(deadline=None)
@given(listed=st.lists(OWN, max_size=6, unique_by=(lambda a: a.address, ifcfg_rh.live_label)))
def test_what_is_rendered_is_read_again(
    listed: list[Alias], tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = TreeHost(tmp_path_factory.mktemp("root"), dict(SERVICE))
    host.write(f"{FOLDER}/ifup-aliases", "")
    host.write(ETH0, PARENT)
    before = host.texts()
    write(host, *listed)
    key = lambda item: item.address  # noqa: E731
    assert sorted((f.alias for f in parse(host)[1:]), key=key) == sorted(listed, key=key)
    assert write(host, *listed).files == ()
    write(host, former=listed)
    assert host.texts() == before


@settings(deadline=None)
@given(text=st.text(st.sampled_from("IPADR6V_SECON=\"'\\ \n\r$(){};#:1.2/a<&|`"), max_size=60))
def test_damaged_text_is_refused_or_kept(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = TreeHost(tmp_path_factory.mktemp("root"), dict(SERVICE))
    host.write(f"{FOLDER}/ifup-aliases", "")
    host.write(ETH0, PARENT + text)
    before = host.read(ETH0)
    try:
        write(host, alias("203.0.113.9"), FIVE)
        assert {"203.0.113.9/32", FIVE.cidr} <= set(cidrs(host))
        write(host, former=[alias("203.0.113.9"), FIVE])
    except IpaliasError:
        pass
    assert host.read(ETH0) == before
