"""What is known of models before they are loaded, from their files where they are here."""

import logging
from collections.abc import Iterable
from pathlib import Path

from models.catalog.catalog import CATALOG
from models.catalog.entry import CatalogEntry
from models.catalog.gguf import header_of
from models.catalog.locate import file_of
from models.conversion.naming import copy_path
from models.engine.sizing import Wishes
from models.errors import HeaderInvalid, HeaderUnknown, LoadFailed
from models.fit.advice import Candidate, Verdict, judge, smaller_than
from models.fit.machine import Machine
from models.fit.need import Facts, facts_of_entry, facts_of_header, megabytes, need_of


def candidate(entry: CatalogEntry, folder: Path) -> Candidate:
    """A model of the catalogue as a candidate; one whose file is here and cannot be read counts as not here."""
    model = file_of(entry, folder)
    if model.is_present:
        try:
            copy = copy_path(model)
            return Candidate(entry, _facts(copy if copy.is_file() else model.path), is_present=True)
        except (HeaderInvalid, OSError):
            pass
    return Candidate(entry, facts_of_entry(entry), is_present=False)


def look_before_loading(path: Path, wishes: Wishes, machine: Machine, log: logging.Logger) -> None:
    """Tell how much memory a file will take, and refuse one that llama.cpp should not see.

    Raises:
        LoadFailed: the file is damaged or hostile, or its weights are larger than the free memory.

    """
    try:
        header = header_of(path)
    except HeaderUnknown as error:
        log.warning("%s %s; llama.cpp may know better", path, error)
        return
    except HeaderInvalid as error:
        raise LoadFailed(f"{path} {error}: fetch it again, or give another path") from error
    except OSError as error:
        raise LoadFailed(f"cannot read {path}: {error.strerror}") from error
    facts = facts_of_header(header)
    need = need_of(facts, wishes, available_bytes=machine.room_bytes, has_gpu=machine.has_gpu)
    if need.weights_bytes > machine.available_bytes and not machine.has_gpu:
        raise LoadFailed(_too_large(need.weights_bytes, machine, wishes))
    is_unsure = machine.has_gpu and machine.gpu_bytes is None
    is_short = not (is_unsure or machine.holds(need))
    log.log(
        logging.WARNING if is_short else logging.INFO,
        "memory: %s; %s%s",
        need,
        machine.room,
        ": too little; take a smaller model, or lower --context" if is_short else "",
    )


def _too_large(weights_bytes: int, machine: Machine, wishes: Wishes) -> str:
    smaller = smaller_than(weights_bytes, _judged(CATALOG.values(), machine, wishes))
    remedy = f"{smaller} would fit" if smaller else "free some memory"
    free = megabytes(machine.available_bytes)
    return f"the weights alone take {megabytes(weights_bytes)}, {free} of memory are free: {remedy}"


def _judged(entries: Iterable[CatalogEntry], machine: Machine, wishes: Wishes) -> list[Verdict]:
    return [judge(Candidate(entry, facts_of_entry(entry), is_present=False), machine, wishes) for entry in entries]


def _facts(path: Path) -> Facts:
    return facts_of_header(header_of(path))
