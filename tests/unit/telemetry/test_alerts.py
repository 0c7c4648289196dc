"""The alert rules ask for metrics that there are, and hear the first error of all."""

import re
from pathlib import Path

import yaml

from proxy.telemetry import families

ALERTS = Path(__file__).parents[3] / "deploy" / "prometheus" / "alerts.yaml"
SELECTOR = re.compile(r"(hotspare_\w+)\{([^}]*)\}")
EXPRESSIONS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}


def test_alerts_select_by_metrics_and_labels_that_exist() -> None:
    plain = {family.name: family for family in (*families.LEVELS, *families.PEAKS)}
    known = plain | {f"{family.name}_total": family for family in families.COUNTERS}
    selected = [found for expression in EXPRESSIONS.values() for found in SELECTOR.findall(expression)]
    assert selected
    for metric, matchers in selected:
        assert set(re.findall(r"(\w+)!?=~?\"", matchers)) <= set(known[metric].labels)


def test_alerts_hear_a_counter_that_has_just_begun() -> None:
    """It begins with its first event, and increase() of its first sample is 0."""
    counted = {name: expression for name, expression in EXPRESSIONS.items() if "increase(" in expression}
    assert counted
    for expression in counted.values():
        (selector,) = set(re.findall(r"hotspare_\w+\{[^}]*\}", expression))
        assert f"{selector} unless {selector} offset 5m" in " ".join(expression.split())
