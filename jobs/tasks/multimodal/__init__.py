"""Tasks whose inputs combine a medium and a text."""

from jobs.tasks.task import Task

TASKS: tuple[Task, ...] = ()
