"""`dlcv` with the toy task in the table, for the processes that commands start."""

from dlcvcli.cli import main
from dlcvcli.tasks.registry import TASKS
from tests.toy_task.spec import SPEC

TASKS[SPEC.name] = SPEC

if __name__ == "__main__":
    main()
