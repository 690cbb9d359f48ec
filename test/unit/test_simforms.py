"""The rig's programs of platforms that cannot run here take what is cited, and nothing else."""

import pytest

from rig.simforms import Cited, Form, Refusal, mutated, survivors
from rig.simhost import SimHost
from saltext.ipalias.host import Result

ADDRESS = r"{address:[0-9]{1,3}(?:\.[0-9]{1,3}){3}}"


def program() -> Cited:
    def act(slots, stdin):
        if slots["address"] == "192.0.2.1":
            raise Refusal("ioctl: File exists")
        return Result(0, slots["address"], "")

    forms = [Form(f"ifconfig em0 inet {ADDRESS} alias", "ifconfig(8), alias", act)]
    return Cited(SimHost(), "ifconfig", forms, ("ifconfig: usage", 64))


def test_a_cited_form_is_taken_and_acts():
    assert program()(["ifconfig", "em0", "inet", "192.0.2.9", "alias"], None).out == "192.0.2.9"


def test_what_the_real_one_refuses_is_refused():
    told = program()(["ifconfig", "em0", "inet", "192.0.2.1", "alias"], None)
    assert (told.code, told.err) == (1, "ioctl: File exists\n")


def test_an_uncited_form_is_refused():
    ifconfig = program()
    assert ifconfig(["ifconfig", "em0", "inet", "192.0.2.9", "add"], None).code == 64
    assert ifconfig.refused


def test_a_form_without_a_citation_is_no_form():
    with pytest.raises(AssertionError, match="citation"):
        Cited(SimHost(), "x", [Form("x", " ", lambda slots, stdin: Result(0, "", ""))], ("", 1))


def test_slips_of_the_pen_do_not_survive():
    line = ("ifconfig", "em0", "inet", "192.0.2.9", "alias")
    assert len(set(mutated(line))) == len(list(mutated(line))) > 10
    count, left = survivors(program(), [line])
    assert count > 10
    assert left == []
