"""The process that converts: `python -m models.conversion SOURCE TARGET THREADS`, started by `convert`.

It ends when its standard input does: whoever wanted the file is gone, or does not want it any more.
"""

import logging
import os
import sys
from pathlib import Path
from typing import Final

from models.child import end_with_parent
from models.errors import EXIT_CRASHED, EXIT_OK, ConversionError

# Below everything that serves: it is done once, and may take its time.
_NICENESS: Final = 10


def main(source: Path, target: Path, threads: int) -> int:
    """Convert; returns the exit code. The last line on stderr says what went wrong."""
    os.nice(_NICENESS)
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # of a crash: gdb would take seconds for it
    end_with_parent()
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    # Here, since it loads llama.cpp, which reads the environment.
    from models.engine.llama.quantization import quantize_to_q8_0

    try:
        quantize_to_q8_0(source, target, threads)
        _flush(target)
    except (ConversionError, OSError) as error:
        logging.log(logging.DEBUG if isinstance(error, ConversionError) else logging.ERROR, "%s", error)
        return EXIT_CRASHED
    return EXIT_OK


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
