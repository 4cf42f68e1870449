"""What a target means: linearise, parse, repair, score, and which next symbols are legal.

The table of tasks is literal: a new task is a file here and a line below.
"""

from mckd_ray.tasks.base import Task
from mckd_ray.tasks.constituency import Constituency
from mckd_ray.tasks.semantic import Semantic
from mckd_ray.tasks.text import Text

TASKS: dict[str, Task] = {task.name: task for task in (Constituency(), Semantic(), Text())}
