"""The process that fetches from the hub: `python -m models.download JOB`, started by `models.download.hub`.

It ends when its standard input does: whoever wanted the file is gone, or does not want it any more. What it has fetched
until then stays, and the next one goes on behind it.
"""

import sys

import msgspec

from models.child import end_with_parent
from models.download.job import Job, Report
from models.errors import EXIT_CRASHED, EXIT_OK, DownloadFailed, FileCorrupt


def main(job: Job) -> int:
    """Fetch; returns the exit code."""
    end_with_parent()
    # Here, since it takes half a second to import.
    from models.download.transfer import fetch

    try:
        _tell(Report(kind="done", text=fetch(job, _tell_progress)))
    except FileCorrupt as error:
        _tell(Report(kind="corrupt", text=str(error)))
    except DownloadFailed as error:
        _tell(Report(kind="failed", text=str(error)))
    except KeyboardInterrupt:  # of a terminal's whole group: the parent has it too
        return EXIT_CRASHED
    return EXIT_OK


def _tell_progress(line: str) -> None:
    _tell(Report(kind="progress", text=line))


def _tell(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Job)))
