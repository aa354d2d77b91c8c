"""`python -m langchain_llmdispatch`, or `llmdispatch`: see `cli/main.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: The arguments; None for the process's own.
    """
    try:  # an interrupt while modules are imported ends like any other
        from langchain_llmdispatch.cli.main import run  # noqa: PLC0415 - see above

        return run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("llmdispatch: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
