"""Transformers' own progress bars and notes, silenced: a run has its own progress."""

import contextlib
from collections.abc import Iterator
from typing import Any

import transformers


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars, and with its errors only."""
    logging: Any = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
