"""What is said of an error that nobody foresaw, and where its traceback is kept."""

import time
import traceback

from haulage.private import make_directory, make_file


def told(err: Exception) -> str:
    """Return a sentence for a person; the traceback goes where that sentence says."""
    return (
        f"unexpected error: {type(err).__name__}: {err}; if this machine lacks nothing "
        f"(memory, processes, disk space, /proc), it is a defect of Haulage: "
        f"{_where_it_came_about(err)}"
    )


def _where_it_came_about(err: Exception) -> str:
    lines = "".join(traceback.format_exception(err))
    try:
        return f"the traceback is in {_logged(lines)}"
    except Exception:  # noqa: BLE001  what ended the command may end this as well
        return f"its traceback is\n{lines}"


def _logged(lines: str) -> str:
    from haulage.catalog.db.engine import home
    from haulage.run.context.state_directory import ERRORS

    path = home() / ERRORS
    make_directory(path.parent)
    make_file(path)
    with open(path, "a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')}\n{lines}\n")
    return str(path)
