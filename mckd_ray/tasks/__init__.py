"""What a target means: linearise, parse, repair, score, and which next symbols are legal.

The table of tasks is literal: a new task is a file here and a line below.
"""

from mckd_ray.errors import ConfigError, nearest
from mckd_ray.tasks.base import Task
from mckd_ray.tasks.constituency import Constituency
from mckd_ray.tasks.semantic import Semantic
from mckd_ray.tasks.text import Text

TASKS: dict[str, Task] = {task.name: task for task in (Constituency(), Semantic(), Text())}


def task_named(name: str) -> Task:
    """The task of this name. Raises ConfigError if there is none."""
    if name not in TASKS:
        raise ConfigError(f"'{name}' is not a task: there is {', '.join(TASKS)}.{nearest(name, TASKS)}")
    return TASKS[name]
