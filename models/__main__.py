"""``python -m models``: the local model's command line, which Ctrl-C finds open from the first import on."""

import sys

_INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C has ended."""


def main() -> int:
    """Run the command that stands in the arguments of the process; its exit code."""
    try:
        from models import cli  # somebody may change his mind before that is done

        return cli.main()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
