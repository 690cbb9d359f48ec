"""Red Hat's ifcfg files: who reads them, and what they say to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rig.ifcfg import (
    EL8,
    EL9,
    EL10,
    ETH0,
    FOLDER,
    KEYFILE,
    PARENT,
    SERVICE,
    alias,
    cidrs,
    manager,
    on_manager,
    parse,
    place,
    put,
    scripts,
    write,
)
from rig.tree import TreeHost
from saltext.ipalias.backends import ifcfg_rh
from saltext.ipalias.errors import (
    ParseError,
    RefusedError,
    UnsupportedError,
)


@pytest.fixture
def host(tmp_path: Path) -> TreeHost:
    return scripts(tmp_path)


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

    @pytest.mark.parametrize(
        ("first", "prefix"), [(10, 8), (127, 8), (172, 16), (191, 16), (192, 24)]
    )
    def test_without_any_mask_the_class_of_the_address(
        self, host: TreeHost, first: int, prefix: int
    ) -> None:
        put(host, "eth0", f"DEVICE=eth0\nIPADDR={first}.0.2.3\n")
        assert cidrs(host) == [f"{first}.0.2.3/{prefix}"]

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
