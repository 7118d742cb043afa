"""Entry point of the `haulage` script: an import that fails ends with exit code 2."""

import traceback
from contextlib import suppress

_NOTHING_DONE = 2  # Python's own 1 would say that it was done, with failures


def main() -> int:
    """Run the command, whose modules may be more than this machine has memory for."""
    try:
        from haulage.cli.main import main as run

        return run()
    except Exception:  # noqa: BLE001  whatever it is, nothing was done
        with suppress(Exception):
            traceback.print_exc()
        return _NOTHING_DONE
