"""What outlives a Salt job does so whatever becomes of Salt's own copy of the library."""

from __future__ import annotations

import json
from collections.abc import Callable

from proof.checks_safety.driver import NEW, OLD, applied, ask, block, hear, refusal, talking
from proof.registry import SAFETY, cases, check, demand
from proof.stage import Stage
from rig.process import wait_until
from rig.salt import CONFIG

SOME = cases(("networkd", "ifupdown"))
LIBRARY = "/srv/library"
CACHE = "/srv/minion"


def sync_prepare(stage: Stage, source: str) -> None:
    """Have Salt load us from its cache, as synced from a fileserver that serves a folder."""
    host = stage.host
    host.salt_prepare({"ipalias": block(["203.0.113.11"], guard={"timeout": 25})})
    config = json.loads(host.read(CONFIG) or "{}")
    for key in ("module_dirs", "utils_dirs"):
        config.pop(key)
    config |= {"file_roots": {"base": [source]}, "cachedir": CACHE, "extension_modules": ""}
    config["extension_modules"] = f"{CACHE}/extmods"
    host.write(CONFIG, json.dumps(config))


@check(701, "cache cleared, empty sync, upgrade under an armed dead man", over=SOME, book=SAFETY)
def library_gone(stage: Stage) -> str:
    """A change waits to be confirmed while the library that made it goes: by
    ``saltutil.clear_cache``, by a sync from a master that serves nothing. It is undone in time.

    Replaced by another version instead, that version confirms it.
    """
    host = stage.host
    host.run(["mkdir", "-p", "/srv/empty"])
    host.run(["cp", "-r", host.checkout, "/srv/served"])
    before = ask(host, "picture")["picture"]

    def serve(folder: str) -> None:
        sync_prepare(stage, folder)
        stage.call("saltutil.sync_all")

    def upgrade() -> None:
        host.run(["sh", "-c", _UPGRADE])
        serve("/srv/served")

    done = []
    steps: list[tuple[str, Callable[[], object], bool]] = [
        ("clear_cache", lambda: stage.call("saltutil.clear_cache"), False),
        ("empty sync", lambda: serve("/srv/empty"), False),
        ("upgrade", upgrade, True),
    ]
    for name, strike, kept in steps:
        serve("/srv/served")
        told = stage.call("ipalias.apply", "confirm=manual")
        demand(isinstance(told, dict) and told["result"] is True, f"{name}: apply says {told}")
        strike()
        if kept:
            stage.demand_live("203.0.113.11/32", when=f" after {name}")
            told = stage.call("ipalias.confirm")
            demand(isinstance(told, dict), f"{name}: confirm says {told}")
            told = ask(host, "await")
            stage.demand_live("203.0.113.11/32", when=f" after {name} and confirm")
        else:
            said = refusal(stage, "ipalias.confirm")
            demand("stands" not in said, f"{name}: the library is still there: {said}")
            wait_until(lambda: not host.has("203.0.113.11"), f"{name}: the revert", timeout=60)
            told = ask(host, "await")
            demand(told["picture"] == before, f"{name}: not as before")
        demand(not told["wrong"] and not told["unfinished"], f"{name}: {told['unfinished']}")
        done.append(name)
    return ", ".join(done)


#: Another version of library and modules, and another content.
_UPGRADE = (
    "cd /srv/served && grep -rl '\"0.1.0\"' _modules _states _beacons _utils 2>/dev/null"
    ' | xargs sed -i \'s/"0\\.1\\.0"/"0.2.0"/\''
)


@check(702, "upgrade and downgrade with a journal open", over=SOME, book=SAFETY)
def other_version(stage: Stage) -> str:
    """A run dies with its journal open; the next one is of another version and puts it back.

    A journal, or ledger, of a later schema is refused by name and touched by nothing; when the
    newer version is there again, it puts it back.
    """
    host = stage.host
    old, new = block(OLD, guard=False), block(NEW, guard=False)
    host.run(["cp", "-r", f"{host.checkout}/_utils", LIBRARY])
    effects = ask(host, "effects", old=old, new=new)["effects"]
    before = ask(host, "picture")["picture"]
    at = max(index for index, name in enumerate(effects) if name.startswith("Run "))

    def crash() -> str:
        with talking(host, "hang", pillar=new, at=at, when="after", how="kill") as program:
            demand(hear(program)["killed"], "it was not killed")
        left: list[str] = ask(host, "picture")["unfinished"]
        records = [path for path in left if "/open-" in path]
        demand(len(records) == 1, f"records: {left}")
        return records[0]

    # Upgrade: the open record is of the version before.
    crash()
    host.run(["sh", "-c", f"find {LIBRARY} -name __init__.py | xargs sed -i s/0.1.0/0.2.0/"])
    applied(host, old, library=LIBRARY)
    demand(ask(host, "picture")["picture"] == before, "upgrade: not as before")
    # Downgrade: record and ledger of a schema that this version does not know.
    record = crash()
    for path in (record, "/var/lib/ipalias/ledger.json"):
        text = host.read(path) or ""
        data = json.loads(text)
        host.write(path, json.dumps({**data, "schema": int(data["schema"]) + 1}), 0o600)
        cut = ask(host, "picture")["picture"]
        for pillar in (old, new):
            said = ask(host, "apply", pillar=pillar).get("error", "")
            demand("schema" in said and path in said, f"{path}: {said or 'no error'}")
            demand("newer" in said, f"{path}: no way out: {said}")
        demand(ask(host, "picture")["picture"] == cut, f"{path}: refused, and yet changed")
        host.write(path, text, 0o600)
        applied(host, old)
        demand(ask(host, "picture")["picture"] == before, f"{path}: not as before")
    return ""
