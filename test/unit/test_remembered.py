"""A look for the owner of an interface asks each question once."""

from rig.tree import TreeHost
from saltext.ipalias.host import Remembered, Result
from saltext.ipalias.owner import detect_all


class Counted(TreeHost):
    """A tree that notes every command."""

    def run(self, argv, stdin=None, timeout=15.0):
        self.asked = [*getattr(self, "asked", []), (tuple(argv), stdin)]
        return super().run(argv, stdin, timeout)


def test_the_same_command_is_run_once(tmp_path):
    host = Counted(tmp_path, {"date": "today\n"})
    remembered = Remembered(host)
    assert remembered.run(("date",)) == Result(0, "today\n", "") == remembered.run(["date"])
    assert host.asked == [(("date",), None)]


def test_what_reads_standard_input_is_run_each_time(tmp_path):
    host = Counted(tmp_path, {"cat": "x"})
    remembered = Remembered(host)
    remembered.run(("cat",), "a")
    remembered.run(("cat",), "b")
    assert [stdin for _, stdin in host.asked] == ["a", "b"]


def test_no_look_for_an_owner_runs_a_command_twice(tmp_path):
    host = Counted(tmp_path, {"netplan": "", "systemctl is-active systemd-networkd.service": ""})
    host.link("eth0", 2)
    host.write("/etc/systemd/network/50-default.network", "[Match]\nName=eth0\n")
    host.write("/etc/netplan/10-host.yaml", "network: {ethernets: {eth0: {dhcp4: true}}}\n")
    detect_all(host, "eth0")
    assert len(host.asked) > 3
    assert sorted(set(host.asked)) == sorted(host.asked)
