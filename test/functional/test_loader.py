"""Salt's loader and our modules: what is there, and what is said where something is wrong."""

from __future__ import annotations

import re

import pytest
from loader_minion import EXTMODS, FORMULA, LIBRARY, SYNCED

from saltext.ipalias import __version__

SYNC = ["call", "saltutil.sync_all", [], {"refresh": False}]
LIST = ["call", "ipalias.list", [], {}]
REFRESH = ["refresh"]
LOADED = ["names", "modules"]
WHY = ["reason", "modules", "ipalias.list"]

FUNCTIONS = {
    "add", "announce", "apply", "backends", "clean", "confirm", "detect", "diff", "import_pillar",
    "journal", "list", "pin_default", "plan", "prune", "remove", "restart", "restore", "rollback",
    "show", "uses", "verify",
}  # fmt: skip
STATES = {"absent", "boot_service", "cleaned", "managed", "present", "pruned"}


@pytest.fixture(autouse=True)
def deliver_anew(minion):
    """Undo what a test does to the formula on the host."""
    yield
    minion.deliver()


def test_every_function_and_state_is_loaded(minion):
    modules, states, why = minion.ask(["names", "modules"], ["names", "states"], WHY)
    assert {name.removeprefix("ipalias.") for name in modules.value} == FUNCTIONS
    assert {name.removeprefix("ipalias.") for name in states.value} == STATES
    assert why.value == ""


@pytest.mark.parametrize("module", ["ipalias", "ipalias_sysctl"])
@pytest.mark.parametrize("kind", ["modules", "states"])
def test_every_function_explains_its_arguments_and_takes_no_others(minion, kind, module):
    [functions] = minion.ask(["described", kind, module])
    assert functions.value
    for name, told in functions.value.items():
        word = name if kind == "modules" else f"state.single {name}"
        assert "CLI Example:\n\n.. code-block:: bash\n" in told["doc"], name
        assert re.search(rf"^ +salt.*\b{re.escape(word)}\b", told["doc"], re.M), name
        for argument in told["args"]:
            assert re.search(rf"^{argument}$", told["doc"], re.M), f"{name}: {argument}"
        assert told["any"] == [None, None], f"{name} swallows arguments"


def test_a_misspelt_argument_is_refused(minion):
    before = minion.picture()
    add, managed, present = minion.ask(
        ["call", "ipalias.add", ["198.51.100.12"], {"tset": True}],
        ["call", "state.single", ["ipalias.managed", "eth0"], {"adress": ["198.51.100.12"]}],
        ["call", "state.single", ["ipalias.present", "198.51.100.12"], {"interfaces": "eth0"}],
    )
    for outcome, word in ((add, "tset"), (managed, "adress"), (present, "interfaces")):
        assert outcome.error == "SaltInvocationError" and word in outcome.text, outcome
    assert minion.picture() == before


def test_synced_to_a_minion_it_loads_from_there(minion):
    _, _, names, listed, file = minion.ask(SYNC, REFRESH, LOADED, LIST, ["library"], opts=SYNCED)
    assert len(names.value) == len(FUNCTIONS)
    assert listed.value == {}
    assert file.value == f"{LIBRARY}/__init__.py"


def test_a_sync_is_found_where_salt_looks_without_the_root_dir(minion):
    # What Salt makes of `utils_dirs` for a minion whose `root_dir` is not /.
    elsewhere = {**SYNCED, "utils_dirs": ["/srv/elsewhere/extmods/utils"]}
    _, _, names, file = minion.ask(SYNC, REFRESH, LOADED, ["library"], opts=elsewhere)
    assert len(names.value) == len(FUNCTIONS)
    assert file.value == f"{LIBRARY}/__init__.py"


def test_an_empty_library_folder_is_told_as_the_reason(minion):
    minion.ask(SYNC, opts=SYNCED)
    minion.host.run(["sh", "-ec", 'rm -r "$1" && mkdir "$1"', "sh", LIBRARY])
    names, why = minion.ask(LOADED, WHY, opts=SYNCED)
    assert names.value == []
    assert "not synced" in why.value and LIBRARY in why.value and "saltutil.sync_all" in why.value


def test_no_library_folder_is_told_as_the_reason(minion):
    minion.ask(SYNC, opts=SYNCED)
    minion.host.remove(f"{EXTMODS}/utils")
    names, why = minion.ask(LOADED, WHY, opts=SYNCED)
    assert names.value == []
    assert "saltutil.sync_all" in why.value, why.value


def test_a_running_minion_whose_library_vanishes_says_so(minion):
    minion.ask(SYNC, opts=SYNCED)
    listed, _, after = minion.ask(LIST, ["remove", LIBRARY], LIST, opts=SYNCED)
    assert not listed.error
    assert after.error == "CommandExecutionError", after
    assert "saltutil.sync_all" in after.text


def test_after_clear_cache_a_sync_brings_everything_back(minion):
    minion.ask(SYNC, opts=SYNCED)
    outcomes = minion.ask(
        LIST, ["call", "saltutil.clear_cache", [], {}], REFRESH, LOADED, SYNC, REFRESH, LIST,
        opts=SYNCED,
    )  # fmt: skip
    assert outcomes[3].value == []
    assert not outcomes[-1].error, outcomes[-1]


def test_another_version_of_the_library_names_its_file(minion):
    path = f"{FORMULA}/_utils/saltext/ipalias/__init__.py"
    text = minion.host.read(path)
    minion.host.write(path, text.replace(f'"{__version__}"', '"0.0.9"'))
    names, why = minion.ask(LOADED, WHY)
    assert names.value == []
    for word in (path, "0.0.9", __version__):
        assert word in why.value, why.value


def test_a_wheel_of_another_version_earlier_on_the_path_is_named(minion):
    minion.host.write("/srv/elsewhere/saltext/ipalias/__init__.py", '__version__ = "0.0.8"\n')
    _, _, names, why = minion.ask(["lead", "/srv/elsewhere"], REFRESH, LOADED, WHY)
    assert names.value == []
    assert "/srv/elsewhere/saltext/ipalias/__init__.py" in why.value, why.value


def test_a_regular_package_that_hides_ours_is_named(minion):
    # Even last on the path: a regular package beats every namespace portion.
    minion.host.write("/srv/elsewhere/saltext/__init__.py", "")
    _, _, names, why = minion.ask(["trail", "/srv/elsewhere"], REFRESH, LOADED, WHY)
    assert names.value == []
    assert "/srv/elsewhere/saltext/__init__.py" in why.value, why.value


def test_a_library_changed_on_disk_is_used_at_once(minion):
    minion.ask(SYNC, opts=SYNCED)
    report = f"{LIBRARY}/report.py"
    text = minion.host.read(report)
    newer = f"{text}\n\ndef describe_backends():\n    return 'newer'\n"
    backends = ["call", "ipalias.backends", [], {}]
    first, _, second = minion.ask(backends, ["write", report, newer], backends, opts=SYNCED)
    assert isinstance(first.value, dict)
    assert second.value == "newer"


def test_states_say_why_they_are_not_there(minion):
    minion.host.remove(f"{FORMULA}/_modules")
    names, why = minion.ask(["names", "states"], ["reason", "states", "ipalias.managed"])
    assert names.value == []
    assert "execution module is not loaded" in why.value
