"""What went wrong between us and the hub, in one line with its remedy."""

import errno
from typing import Final

import httpx2
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from models.download.job import Job

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_AGAIN: Final = "pull again, it goes on where it was"


def explain(error: Exception, job: Job) -> str:
    """The line."""
    if isinstance(error, HfHubHTTPError):
        return _explain_answer(error, job)
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set: unset it, or put the file at {job.target} yourself"
    if isinstance(error, httpx2.HTTPError):
        why = str(error) or type(error).__name__
        return f"{ENDPOINT} cannot be reached, or broke off ({why}): check the network and HTTPS_PROXY, and {_AGAIN}"
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"no room for {job.target} ({error.strerror}): make room and {_AGAIN}, or set HOTSPARE_MODELS"
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot write {job.target}: {error}; set HOTSPARE_MODELS to a folder that can be written"
    return f"{job.repo}/{job.file} cannot be fetched ({_one_line(error)}): {_AGAIN}"


def _explain_answer(error: HfHubHTTPError, job: Job) -> str:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return f"{job.repo} is gated: accept its terms at {ENDPOINT}/{job.repo}, and set HF_TOKEN to a token of yours"
    if isinstance(error, RevisionNotFoundError):
        return f"{job.repo} has no revision {job.revision}: check `revision` in the catalogue"
    if isinstance(error, EntryNotFoundError):
        return f"{job.repo} has no file {job.file} in {job.revision}: see {ENDPOINT}/{job.repo}/tree/{job.revision}"
    if isinstance(error, RepositoryNotFoundError) or status in {401, 403}:
        return f"{job.repo} does not exist, or not for you ({status}): check the name; set HF_TOKEN if it is private"
    return f"{ENDPOINT} answered {status} for {job.repo}/{job.file}: {_AGAIN}, later or from a mirror (HF_ENDPOINT)"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
