"""Which upstreams may answer, in which order, under which name, and at what loss."""

import pytest

from proxy.core.candidates import LOSS_OF_LOCAL_MODEL, Candidate, Loss, Need, Plan, Route, Router, Target

OPENAI = Target("openai", models={}, loss={})
AZURE = Target("azure", models={"gpt-4o": "my-deployment"}, loss={})
LOCAL = Target("local", models={}, loss=LOSS_OF_LOCAL_MODEL, is_local=True, served_model="smollm2")
EVERYTHING = Route("*", (OPENAI, AZURE, LOCAL))


def plan(model: str, *needs: Need, routes: tuple[Route, ...] = ()) -> Plan:
    return Router(routes, default=EVERYTHING).plan(model, frozenset(needs))


def names(found: Plan) -> list[str]:
    return [candidate.upstream for candidate in found.candidates]


def test_model_that_no_route_names_takes_the_default_route() -> None:
    assert names(plan("gpt-9", routes=(Route("claude-*", (AZURE,)),))) == ["openai", "azure", "local"]


def test_first_route_that_matches_wins() -> None:
    routes = (Route("gpt-4*", (AZURE,)), Route("gpt-*", (OPENAI,)))
    assert names(plan("gpt-4o", routes=routes)) == ["azure"]
    assert names(plan("gpt-5", routes=routes)) == ["openai"]


@pytest.mark.parametrize(
    ("pattern", "model", "matches"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-?", "gpt-5", True),
        ("gpt-[45]*", "gpt-5-pro", True),
        ("gpt-*", "GPT-5", False),
        ("*/llama*", "meta/llama-3", True),
    ],
)
def test_routes_match_by_shell_pattern(pattern: str, model: str, matches: bool) -> None:
    assert (names(plan(model, routes=(Route(pattern, (AZURE,)),))) == ["azure"]) is matches


def test_each_upstream_is_asked_for_its_own_name_of_the_model() -> None:
    models = [candidate.model for candidate in plan("gpt-4o").candidates]
    assert models == ["gpt-4o", "my-deployment", "smollm2"]


def test_local_model_asked_by_name_answers_alone() -> None:
    assert plan("smollm2").candidates == (Candidate("local", "smollm2", is_local=True),)


def test_local_model_that_is_asked_by_name_knows_its_own_tokens() -> None:
    assert plan("smollm2", Need.NUMBERED_PROMPT, Need.LOGIT_BIAS).candidates == plan("smollm2").candidates


def test_local_model_does_not_take_another_models_tokens_for_its_own() -> None:
    assert plan("gpt-5", Need.LOGIT_BIAS).candidates[-1].losses == (Need.LOGIT_BIAS,)
    assert plan("gpt-5", Need.NUMBERED_PROMPT).refused == {"local": (Need.NUMBERED_PROMPT,)}


def test_local_model_is_not_found_by_name_where_the_route_leaves_it_out() -> None:
    assert names(plan("smollm2", routes=(Route("*", (OPENAI,)),))) == ["openai"]


def test_needs_that_can_be_dropped_stand_with_the_candidate() -> None:
    wordy = Target("wordy", models={}, loss={Need.TOOLS: Loss.DROP, Need.LOGPROBS: Loss.DROP})
    found = plan("gpt-5", Need.TOOLS, Need.LOGPROBS, routes=(Route("gpt-5", (OPENAI, wordy)),))
    assert found.candidates[-1].losses == (Need.LOGPROBS, Need.TOOLS)
    assert found.candidates[0].losses == ()


def test_local_model_calls_tools_and_keeps_to_schemas() -> None:
    found = plan("gpt-5", Need.TOOLS, Need.REQUIRED_TOOL, Need.JSON, Need.LOGPROBS)
    assert (found.candidates[-1].upstream, found.candidates[-1].losses) == ("local", ())


@pytest.mark.parametrize("need", [need for need, loss in LOSS_OF_LOCAL_MODEL.items() if loss is Loss.REFUSE])
def test_need_that_cannot_be_dropped_keeps_the_local_model_out(need: Need) -> None:
    found = plan("gpt-5", need)
    assert names(found) == ["openai", "azure"]
    assert found.refused == {"local": (need,)}


def test_only_the_fatal_needs_are_named_as_the_reason() -> None:
    found = plan("gpt-5", Need.TOOLS, Need.HISTORY, Need.VISION)
    assert found.refused == {"local": (Need.VISION,)}


def test_plan_without_candidates_says_who_was_kept_out() -> None:
    found = plan("smollm2", Need.EMBEDDINGS)
    assert (found.candidates, dict(found.refused)) == ((), {"local": (Need.EMBEDDINGS,)})
