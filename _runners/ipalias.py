"""
Runs on the master what needs more than one host.

The drill of a DHCP pair, as a schedule of the master's has it (``/etc/salt/master.d``):

.. code-block:: yaml

    schedule:
      dhcp-drill:
        function: ipalias.dhcp_drill
        kwargs: {members: [dhcp1, dhcp2], client: web3, interface: eth0}
        days: 80
        maxrunning: 1
        run_on_start: false
"""

import contextlib
import importlib.util
import os
import time

import salt.client
from salt.exceptions import SaltException

__virtualname__ = "ipalias"


def _shared():
    """Return what our runners share; the loader passes over its name, so it lies beside us."""
    path = os.path.join(os.path.dirname(__file__), "_ipalias.py")
    spec = importlib.util.spec_from_file_location("ipalias_runners", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_ipalias = _shared()
#: Raised at the first sign that a drill is not as it shall be, and of bad arguments.
Trouble = _ipalias.Trouble

#: Seconds within which a minion answers, beyond what its own work takes.
ANSWER = 20
#: Seconds between two looks at a job that runs.
LOOK_AGAIN = 1.0
#: Seconds that a stopped server stays down beyond the time that its clients may have to wait.
SPARE = 45
#: Times that the server is told to start: a minion may just be busy.
TRIES = 5
#: What Salt has behind the word that a minion did not return: a job of ours is over by then.
_SALTS_ADVICE = "\nThe minions may not have all finished running"


def __virtual__():
    return __virtualname__


@_ipalias.answered
def dhcp_drill(
    members, client=None, interface=None, stop=None, limit=300, pillar="ipalias", test=False
):
    """
    Stop one server of a DHCP pair, get leases from the other, start it again, and report.

    The guide's own test. It begins only where both members are normal, ends at the first sign of
    trouble, and in every case the server is started again: by this, and if this dies by a timer
    on the member itself. The report is kept on both members, where ``ipalias_dhcp.status`` and
    the beacon tell its age.

    members
        Minion ids of the two, as a list or with a comma between.

    client
        Minion id of a host on the clients' segment, which asks for the leases and gives them back;
        without one the member that stays up asks itself.

    interface
        Of that host, on the segment. Without ``client`` the first interface of the pillar.

    stop
        Which of the members is stopped; without it the primary.

    limit
        Seconds after which the member starts its server by itself, and that the pair has to be
        normal again. More than the configuration promises for a takeover, else it is refused.

    pillar
        Pillar path of the formula's block on the members.

    test
        Look whether the drill could be held, and stop nothing.

    CLI Example:

    .. code-block:: bash

        salt-run ipalias.dhcp_drill dhcp1,dhcp2 client=web3 interface=eth0
        salt-run ipalias.dhcp_drill dhcp1,dhcp2 test=True
    """
    members = _two(members)
    if stop is not None and stop not in members:
        raise Trouble(f"stop: {stop} is not among the members; give {' or '.join(members)}")
    for name, value in (("client", client), ("interface", interface)):
        if value is not None and not _is_name(value):
            raise Trouble(
                f"{name}: {str(value)[:80]!r} is no name of one; leave it out, or mend it"
            )
    if client in members and client == stop:
        raise Trouble(
            f"client: {client} is the one that is stopped; give a third minion of the segment"
        )
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 60 <= limit <= 3600:
        raise Trouble(f"limit: {str(limit)[:80]!r} is not 60 to 3600, in seconds and as a number")
    drill = Drill(_Minions(pillar), _progress, members, client, interface, limit)
    return drill.look(stop) if test else drill.hold(stop)


@_ipalias.answered
def dhcp_conflicts(members, grace=None, pillar="ipalias"):
    """
    Look through both members' lease files for what a pair must never do.

    One address given to two clients at one time, one that a side alone knows of for too long, an
    active one that no pool has.

    members
        Minion ids of the two, as a list or with a comma between.

    grace
        Seconds for which one side alone may know of a lease; without it the pair's ``mclt``.

    pillar
        Pillar path of the formula's block on the members.

    CLI Example:

    .. code-block:: bash

        salt-run ipalias.dhcp_conflicts dhcp1,dhcp2
    """
    one, other = _two(members)
    minions = _Minions(pillar)
    peer = minions.asked(other, "ipalias_dhcp.leases", 30)
    told = minions.asked(one, "ipalias_dhcp.conflicts", 60, peer=peer, grace=grace)
    return {**told, "retcode": 0 if told["result"] else 1}


def _two(members):
    """Return the minion ids of two members."""
    two = [word.strip() for word in members.split(",")] if isinstance(members, str) else members
    if (
        not isinstance(two, list)
        or not all(_is_name(member) for member in two)
        or len(two) != 2
        or two[0] == two[1]
    ):
        raise Trouble(
            f"members: {str(members)[:80]!r} is not the minion ids of the two servers of a pair; "
            "give them with a comma between: dhcp1,dhcp2"
        )
    return two


def _is_name(value):
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


class Drill:
    """
    Hold one drill.

    minions
        Asks minions, see ``_Minions``.

    say
        Takes each line of the report as it is written.
    """

    def __init__(self, minions, say, members, client, interface, limit, clock=time.time):
        self.minions, self.say, self.clock = minions, say, clock
        self.members, self.client, self.interface = members, client, interface
        self.limit = limit
        self.lines = []
        #: A member has been told to stop its server.
        self.stopping = False

    def look(self, stop):
        """Return whether the drill could be held."""
        try:
            going, staying = self._chosen(stop)
            self._stopping(going, test=True)
            self._tell(f"{going} could be stopped, {staying} would have to serve")
        except Trouble as error:
            self._tell(f"refused: {error}")
            return self._answer(False, str(error))
        return self._answer(True, f"{going} could be stopped")

    def hold(self, stop):
        """Hold the drill; return its report."""
        began = self.clock()
        result, comment = False, "interrupted"
        try:
            going, staying = self._chosen(stop)
            try:
                promised = self._stopping(going)
                self._served(staying, promised)
            finally:
                # Also where this is interrupted; where it is killed the member does it itself.
                back = self._bring_back(going) if self.stopping else True
            if not back:
                raise Trouble(f"{going} does not start again")
            self._normal_again()
            result, comment = True, f"{staying} served while {going} was stopped"
        except Trouble as error:
            comment = str(error)
            self._tell(f"failed: {comment}")
        finally:
            seconds = self.clock() - began
            self._tell(f"{'passed' if result else 'failed'} after {seconds:.0f} s")
            self._keep(result, began)
        return self._answer(result, comment)

    # -- steps ------------------------------------------------------------------------------

    def _chosen(self, stop):
        """Return which member is stopped and which one stays; both are normal."""
        answers = self.minions.ask(self.members, "ipalias_dhcp.wait", 5, state="normal", limit=5)
        for member in self.members:
            found, said = answers.get(member, (False, "does not answer"))
            if not found:
                raise Trouble(f"{member}: {said}")
        self._tell(f"{' and '.join(self.members)} are normal")
        going = stop or self._primary()
        [staying] = [member for member in self.members if member != going]
        if self.client == going:
            raise Trouble(f"the client {going} is the one that is stopped")
        return going, staying

    def _primary(self):
        answers = self.minions.ask(self.members, "ipalias_dhcp.member", 5)
        for member, (found, said) in answers.items():
            if found and said.get("role") == "primary":
                return member
        raise Trouble("neither says that it is the primary")

    def _stopping(self, going, test=False):
        """Have a member stop its server, guarded; return what its configuration promises."""
        job = {"limit": self.limit, "test": True}
        promised = self.minions.asked(going, "ipalias_dhcp.drill_stop", 10, **job)
        needed = promised["bound"] + SPARE
        if needed > self.limit:
            raise Trouble(
                f"a takeover may take {promised['bound']:.0f} s: give a limit of {needed:.0f} s"
            )
        if not test:
            self.stopping = True
            promised = self.minions.asked(going, "ipalias_dhcp.drill_stop", 30, limit=self.limit)
            self._tell(
                f"{going} is stopped; by itself it starts again after {promised['again']:.0f} s"
            )
        return promised

    def _served(self, staying, promised):
        """Have a client get its leases from the member that stays, and watch that one."""
        client = self.client or staying
        # Half of them are the stopped server's, and more of those than have to wait for a
        # takeover; a minion of a former version draws them by chance.
        count = 3 * promised["clients"] + 1
        limit = promised["bound"] + 10
        wanted = {"clients": count, "limit": limit, "server": promised["peer"]}
        if self.interface:
            wanted["interface"] = self.interface
        job = self.minions.begin(client, "ipalias_dhcp.lease", **wanted)
        end = self.clock() + limit + ANSWER
        while True:
            told = self.minions.returned(job, client)
            if told is not None:
                break
            if self.clock() > end:
                raise Trouble(f"{client} does not say whether it has a lease")
            # At the first sign of trouble the one that is stopped has to come back.
            serves = self.minions.asked(staying, "ipalias_dhcp.wait", 10, state="serving", limit=3)
            if not serves:
                raise Trouble(f"{staying} does not serve")
            self.minions.pause(LOOK_AGAIN)
        found, said = told
        if not found:
            raise Trouble(f"{client}: {said}")
        self._tell(f"{client}: {said['comment']}")
        if not said["result"]:
            raise Trouble(f"{staying} did not take over: {said['comment']}")

    def _bring_back(self, going):
        """Start the stopped server again; tell whether it runs."""
        for left in reversed(range(TRIES)):
            try:
                answers = self.minions.ask([going], "ipalias_dhcp.drill_start", 40)
            except Trouble as error:
                answers = {going: (False, str(error))}
            found, said = answers.get(going, (False, "does not answer"))
            if found:
                self._tell(f"{going} is started again")
                return True
            self._tell(f"{going} is not started again yet: {said}")
            if left:
                self.minions.pause(LOOK_AGAIN)
        self._tell(f"{going} is left to its own timer, {self.limit:.0f} s after its stop")
        return False

    def _normal_again(self):
        wanted = {"state": "normal", "limit": self.limit}
        answers = self.minions.ask(self.members, "ipalias_dhcp.wait", self.limit, **wanted)
        for member in self.members:
            found, said = answers.get(member, (False, "does not answer"))
            if not found:
                raise Trouble(f"{member}: {said}")
            self._tell(f"{member} is normal again after {said['seconds']:.0f} s")

    def _keep(self, result, began):
        """Keep the report on both members."""
        report = {"result": result, "report": list(self.lines), "moment": began}
        try:
            answers = self.minions.ask(self.members, "ipalias_dhcp.drill_report", 10, **report)
        except Trouble as error:
            answers = dict.fromkeys(self.members, (False, str(error)))
        for member in self.members:
            found, said = answers.get(member, (False, "does not answer"))
            if not found:
                self._tell(f"{member} has no report of this: {said}")

    def _tell(self, text):
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(self.clock()))} UTC {text}"
        self.lines.append(line)
        self.say(line)

    def _answer(self, result, comment):
        # `retcode` is what salt-run ends with.
        return {
            "result": result,
            "comment": comment,
            "report": self.lines,
            "retcode": 0 if result else 1,
        }


class _Minions:
    """Ask minions by their ids; an answer is whether it was one, and what it was."""

    def __init__(self, pillar):
        self.pillar = pillar

    def ask(self, minions, function, seconds, **kwargs):
        """Return the answers by minion; one that gave none is not among them."""
        with _client() as client:
            told = client.cmd(
                list(minions),
                function,
                kwarg=self._given(function, kwargs),
                tgt_type="list",
                timeout=seconds + ANSWER,
                full_return=True,
            )
        return {minion: _answer(data) for minion, data in told.items() if data}

    def asked(self, minion, function, seconds, **kwargs):
        """Return the answer of one minion; anything else is trouble."""
        answers = self.ask([minion], function, seconds, **kwargs)
        found, said = answers.get(minion, (False, "does not answer"))
        if not found:
            raise Trouble(f"{minion}: {said}")
        return said

    def begin(self, minion, function, **kwargs):
        """Start a job on a minion and return its id."""
        with _client() as client:
            kwarg = self._given(function, kwargs)
            job = client.run_job([minion], function, kwarg=kwarg, tgt_type="list")
        if not job:
            raise Trouble(f"{minion} does not answer")
        return job["jid"]

    def returned(self, job, minion):
        """Return the answer of a job, or None while there is none."""
        with _client() as client:
            data = client.get_cache_returns(job).get(minion)
        return _answer(data) if data else None

    def pause(self, seconds):
        """Wait."""
        time.sleep(seconds)

    def _given(self, function, kwargs):
        # A client on the segment has no pillar of the pair.
        return kwargs if function == "ipalias_dhcp.lease" else {**kwargs, "pillar": self.pillar}


@contextlib.contextmanager
def _client():
    """Give Salt's client; what it cannot do is trouble like any other."""
    try:
        with salt.client.get_local_client(mopts=dict(__opts__)) as client:
            yield client
    except (SaltException, OSError) as error:
        raise Trouble(f"the master cannot ask: {error}") from error


def _answer(data):
    """Return whether a minion's return is an answer, and what it says."""
    said = data.get("ret", data.get("return"))
    # A `result` that is None or False gives a return code as an error does, which is a text.
    good = isinstance(said, dict) or not data.get("retcode")
    return (good, said) if good else (False, str(said).partition(_SALTS_ADVICE)[0].strip()[:500])


def _progress(line):
    """Show a line while the runner still runs."""
    event = globals().get("__jid_event__")
    if event is not None:
        event.fire_event({"message": line}, "progress")
