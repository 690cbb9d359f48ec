"""The job that puts back at boot, on every system: in its own form, before the network."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from saltext.ipalias import platforms
from saltext.ipalias.bootunit import AFTER_NETWORK, UNITS, Program, shell_words
from saltext.ipalias.host import SYSTEMS

PROGRAM = Program("/opt/salt/bin/python3", "/usr/local/lib/ipalias", "/var/db/ipalias")
LINE = ("/opt/salt/bin/python3", "-I", "/usr/local/lib/ipalias/current/run.py", "boot")


@pytest.mark.parametrize("started_by", sorted(UNITS))
def test_it_runs_the_frozen_copy_by_the_recorded_interpreter(started_by):
    text = UNITS[started_by](PROGRAM).text
    for word in (*LINE, "/var/db/ipalias"):
        assert word in text
    assert "Written by the ipalias formula" in text


@pytest.mark.parametrize(
    ("started_by", "before"),
    [
        ("systemd", "Before=network-pre.target"),
        ("openrc", "before net net.lo"),
        ("freebsd", "# BEFORE: netif"),
        ("smf", '<service_fmri value="svc:/network/physical"/>'),
    ],
)
def test_it_comes_before_the_network(started_by, before):
    assert before in UNITS[started_by](PROGRAM).text
    assert started_by not in AFTER_NETWORK


def test_every_system_has_one_and_a_folder_for_state():
    for system in SYSTEMS:
        started_by = platforms.init(system, lambda path: path == "/run/systemd/system")
        assert started_by in UNITS, system
        assert platforms.STATE[system]
        assert platforms.FROZEN[system]


def test_linux_without_systemd_is_openrc_or_unknown():
    assert platforms.init("linux", lambda path: path == "/run/openrc") == "openrc"
    assert platforms.init("linux", lambda path: False) == ""


@pytest.mark.parametrize("started_by", ["openrc", "freebsd", "openbsd"])
def test_a_shell_reads_the_script(started_by):
    text = UNITS[started_by](PROGRAM).text
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("started_by", ["smf", "tasks"])
def test_a_parser_reads_the_definition(started_by):
    odd = Program('/opt/a "b" & <c>/python3', "/lib", "/state")
    ElementTree.fromstring(UNITS[started_by](odd).text)


def test_a_word_of_the_command_line_is_never_taken_apart_by_a_shell():
    words = ("printf", "%s|", "a b", "it's", "$(id)", "`id`", "\\")
    argv = ["sh", "-c", shell_words(words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "a b|it's|$(id)|`id`|\\|"


@pytest.mark.parametrize("started_by", sorted(UNITS))
def test_a_dead_man_is_started_apart_from_the_minion(started_by):
    argv, path = ["/py", "-I", "/run.py"], "/state/ipalias-guard-7.xml"
    commands = platforms.apart(started_by, argv, "ipalias-guard-7", path)
    assert bool(platforms.apart_definition(started_by, argv, "x")) == (started_by == "tasks")
    first = commands[0][0] if commands else ""
    wanted = {"systemd": "systemd-run", "smf": "ctrun", "tasks": "schtasks"}
    assert first == wanted.get(started_by, "")
    # ctrun(1): "This option is invalid when a lifetime of none is specified", and it would
    # kill the dead man with ctrun.
    assert not any("noorphan" in command for command in commands)


def test_a_task_of_the_scheduler_is_taken_away_by_its_name():
    """It lasts, and there is one for each change."""
    (make, *_) = platforms.apart("tasks", ["/py"], "ipalias-guard-7", "/x.xml")
    ((*delete, name, force),) = platforms.apart_ended("tasks", "ipalias-guard-7")
    assert make[2:4] == ["/TN", name]
    assert [*delete, force] == ["schtasks", "/Delete", "/TN", "/F"]
    assert not any(platforms.apart_ended(other, "x") for other in UNITS if other != "tasks")


NAMESPACE = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}


def test_a_task_starts_on_batteries_and_with_a_command_line_of_any_length():
    """``schtasks /TR`` takes 261 characters, and its tasks stop when the mains fail."""
    argv = ["C:/Program Files/Salt/python.exe", "-I", "C:/x/" + 300 * "y" + "/run.py", "a & b"]
    name, path = "ipalias-guard-7", "C:/ProgramData/ipalias/ipalias-guard-7.xml"
    make, start = platforms.apart("tasks", argv, name, path)
    assert make[-3:] == ["/XML", "C:\\ProgramData\\ipalias\\ipalias-guard-7.xml", "/F"]
    assert start == ["schtasks", "/Run", "/TN", name]
    for text in (platforms.apart_definition("tasks", argv, name), UNITS["tasks"](PROGRAM).text):
        task = ElementTree.fromstring(text)
        settings = task.find("t:Settings", NAMESPACE)
        for key in ("DisallowStartIfOnBatteries", "StopIfGoingOnBatteries"):
            assert settings.findtext(f"t:{key}", None, NAMESPACE) == "false"
    task = ElementTree.fromstring(platforms.apart_definition("tasks", argv, name))
    assert list(task.find("t:Triggers", NAMESPACE)) == []
    assert task.findtext("t:Settings/t:ExecutionTimeLimit", None, NAMESPACE) == "PT0S"
    assert task.findtext("t:Actions/t:Exec/t:Command", None, NAMESPACE) == argv[0]
    line = " ".join(f'"{word}"' for word in argv[1:])
    assert task.findtext("t:Actions/t:Exec/t:Arguments", None, NAMESPACE) == line
    assert task.findtext("t:Principals/t:Principal/t:UserId", None, NAMESPACE) == "S-1-5-18"


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("linux", "linux"),
        ("freebsd14", "freebsd"),
        ("openbsd7", "openbsd"),
        ("sunos5", "sunos"),
        ("win32", "windows"),
    ],
)
def test_a_system_is_told_by_the_interpreter(name, system):
    assert platforms.system(name) == system
