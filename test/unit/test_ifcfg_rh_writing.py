"""Red Hat's ifcfg files: what is written, taken over, told, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.ifcfg import (
    ETH0,
    FIVE,
    FOLDER,
    PARENT,
    SIX,
    alias,
    cidrs,
    on_manager,
    parse,
    place,
    put,
    scripts,
    write,
)
from rig.tree import TreeHost, commands
from saltext.ipalias.backends import ifcfg_rh
from saltext.ipalias.errors import (
    InputError,
    ParseError,
    RefusedError,
    UnsupportedError,
)
from saltext.ipalias.model import Alias, Evidence, Found, Wanted


@pytest.fixture
def host(tmp_path: Path) -> TreeHost:
    return scripts(tmp_path)


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
