"""
What the runners of this formula share: how they say that something cannot be done.

Salt's loader passes over a file whose name begins with an underscore, and a sync brings it
like any other. Each runner loads it from beside itself, as our execution modules do.
"""

import functools
import inspect

import salt.utils.args
from salt.exceptions import SaltException


class Trouble(Exception):
    """Say what cannot be done, where, and the way out; an operator reads nothing else."""


def answered(function):
    """
    Have a runner answer where it would raise; used as a decorator.

    Salt 3006 to 3008 print what a runner raises with all of its stack, count a missing argument
    as a success, and answer one that there is not with the whole docstring and exit 0
    (``salt.client.mixins``, ``salt.runner``). So the answer says it: ``comment`` has the sentence,
    ``retcode`` is what ``salt-run`` ends with, and what an orchestration or an event of the
    master's calls a success goes by ``__context__``.
    """

    @functools.wraps(function)
    def call(*args, **kwargs):
        names = function.__globals__
        # Salt puts what belongs to the job beside the function that it calls, which is this one.
        if "__jid_event__" in globals():
            names["__jid_event__"] = globals()["__jid_event__"]
        try:
            answer = function(*args, **_fitting(function, args, kwargs))
        except (Trouble, SaltException, OSError) as error:
            answer = {"result": False, "comment": str(error), "retcode": 1}
        except TypeError as error:
            # Salt would take it for arguments that do not fit, and that for a success.
            raise RuntimeError(f"{function.__name__} failed: {error}") from error
        # Also of a success: a reactor keeps the context of the runner before.
        names["__context__"]["retcode"] = answer.setdefault("retcode", 0)
        return answer

    # By it Salt would find out what arguments there are, and answer another one itself.
    del call.__wrapped__
    return call


def _fitting(function, args, kwargs):
    """Return the keyword arguments without Salt's own, where all of them fit the function."""
    kwargs = salt.utils.args.clean_kwargs(**kwargs)
    signature = inspect.signature(function)
    named = f"{function.__globals__['__virtualname__']}.{function.__name__}"
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise Trouble(
            f"{named}: {error}; it takes {', '.join(signature.parameters)}: "
            f"see `salt-run -d {named}`"
        ) from None
    return kwargs
