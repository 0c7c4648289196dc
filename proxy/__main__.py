"""`hotspare` and `python -m proxy`: the door of the command, which Ctrl-C finds open from the first import on."""

import sys

_INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C has ended. Said here, as nothing of ours is imported yet."""


def main() -> int:
    """Run the command that stands in the arguments of the process; its exit code."""
    try:
        from proxy import cli  # a tenth of a second, in which somebody may already have changed his mind

        return cli.main()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
