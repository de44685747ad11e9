"""Tasks whose inputs or outputs are sounds."""

from jobs.tasks.task import Task

TASKS: tuple[Task, ...] = ()
