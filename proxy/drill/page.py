"""A drill in words. Pure."""

from proxy.core.drill_report import HARMLESS, End, Report

_ENDS = {
    End.TIME: "to its stated end",
    End.ASKED: "until it was stopped",
    End.FAILURE: "until a request failed, or nobody was left to answer: stopped by itself",
}


def opening(report: Report, clients: int) -> str:
    """What is about to happen."""
    traffic = f"{clients} clients of its own" if clients else "live traffic"
    return (
        f"drill {report.number}: {_whom(report)} to look dead ({report.shape}) for {report.stated_seconds:g} s "
        f"and {100 * report.share:.3g} % of the requests; {traffic}; Ctrl-C ends it at once"
    )


def progress(report: Report) -> str:
    """How it goes, in one line."""
    counts = f"affected {report.affected}, rescued {report.rescued}, failed {report.failed}"
    if report.end is None:
        detected = "detected" if report.detect_seconds is not None else "not detected yet"
        return f"{report.ran_seconds:6.1f} s  {counts}; {detected}"
    back = "back" if report.is_over else "not back yet"
    return f"   after   {counts}; {_whom(report)}: {back}"


def closing(report: Report, answered: int, failures: list[str]) -> str:
    """The report. `answered` and `failures` are what our own clients saw."""
    lines = [
        f"{report.shape} at {_whom(report)}, {report.ran_seconds:.1f} of {report.stated_seconds:g} s: "
        + (_ENDS[report.end] if report.end else "still running"),
        f"  attempts broken          {report.attempts_broken}",
        f"  requests affected        {report.affected}",
        f"    rescued                {report.rescued}",
        f"    failed                 {report.failed}",
        f"    gave up waiting        {report.left}",
        f"  time to detect           {_seconds(report.detect_seconds, 'no breaker opened')}",
        f"  first rescue's content   {_seconds(report.rescue_seconds, 'nobody was rescued')}",
        f"    mean, longest          {_seconds(report.mean_rescue_seconds)}, {_seconds(report.longest_rescue_seconds)}",
        f"  next answer of its own   {_seconds(report.first_answer_seconds, 'none yet')}",
        f"  back for everybody       {_seconds(report.return_seconds, 'not yet')}",
    ]
    if answered or failures:
        lines.append(f"  our own clients          {answered} answered, {len(failures)} failed")
    lines += [f"    {failure}" for failure in failures[:5]]
    return "\n".join([*lines, "", verdict(report, failures)])


def verdict(report: Report, failures: list[str]) -> str:
    """What it has shown, in one line."""
    if report.failed or failures or report.end is End.FAILURE:
        return "FAILED: somebody was left without an answer."
    if not report.attempts_broken:
        return "NOTHING SHOWN: no attempt was broken. Wait until all are back, and send some, or say --clients."
    if not report.affected and report.shape in HARMLESS:
        return "UNNOTICED: every answer was whole all the same."
    if not report.affected:
        return "NOTHING SHOWN: no request was affected. Send some, or say --clients."
    return "RESCUED: every affected request was answered."


def is_good(report: Report, failures: list[str]) -> bool:
    """Whether somebody was affected, or would have been, and everybody has an answer."""
    return verdict(report, failures).startswith(("RESCUED", "UNNOTICED"))


def _whom(report: Report) -> str:
    """Who looks dead, and for which model."""
    names = " and ".join(report.upstreams)
    return names if report.model is None else f"{names} ({report.model} only)"


def _seconds(seconds: float | None, otherwise: str = "-") -> str:
    return otherwise if seconds is None else f"{seconds:.3f} s"
