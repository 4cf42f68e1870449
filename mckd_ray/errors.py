"""The errors of mckd_ray: one root, and what each kind means for the caller.

All of them cross process borders (they pickle), and carry one sentence for the user: what is wrong, where, what is
allowed, what to do.
"""

import difflib
from collections.abc import Iterable


class MckdError(Exception):
    """The root of all errors of this package; `exit_status` is what the command line returns for it."""

    exit_status = 1


class UserError(MckdError):
    """Something that the user gave is wrong, and only the user can mend it."""

    exit_status = 2


class ConfigError(UserError):
    """A config file, key, value or override that cannot stand."""


class DataError(UserError):
    """A row, file or corpus that cannot be read as what it is said to be."""


class ModelError(UserError):
    """A model, checkpoint or engine that cannot be loaded or is not there."""


class StoreError(UserError):
    """A store that cannot be read or written."""


class ResourceError(UserError):
    """A cluster that can never hold what was asked of it."""


class LinearisationError(MckdError):
    """A string that is not a linearisation of any annotation of the given tokens."""


class StepError(MckdError):
    """A step of the plan that failed for good; the message holds the last words of its cause."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint such as ` Did you mean 'tagger'? Allowed: seq2seq, tagger.` for a name that is not allowed."""
    options = sorted(allowed)
    close = difflib.get_close_matches(name, options, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Allowed: {', '.join(options)}."
