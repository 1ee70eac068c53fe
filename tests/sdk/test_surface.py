"""tests/sdk/surface.yaml: each name, parameter, variable and attribute that code out there uses is there and works."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

import thoth

SURFACE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "surface.yaml").read_text())
WHO: dict[str, Any] = {"agent_id": "a", "approved_scope": ["read_customer"], "tenant_id": "acme"}


@pytest.mark.parametrize("name", SURFACE["module"])
def test_a_name_of_the_module_is_there(name: str) -> None:
    assert getattr(thoth, name) is not None
    assert name in thoth.__all__


@pytest.mark.parametrize(("function", "name"), SURFACE["first_argument"].items())
def test_a_function_takes_its_first_argument_by_position_and_the_rest_by_name(function: str, name: str) -> None:
    first, *rest = inspect.signature(getattr(thoth, function)).parameters.values()
    assert first.name == name
    assert all(parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD) for parameter in rest)
    for wanted, default in SURFACE["keyword_parameters"].get(function, {}).items():
        assert inspect.signature(getattr(thoth, function)).parameters[wanted].default == default


@pytest.mark.parametrize("name", SURFACE["required_settings"])
def test_a_required_setting_is_asked_for_by_name(name: str) -> None:
    with pytest.raises(thoth.ConfigurationError, match=f"`{name}="):
        thoth.ThothClient(**{key: value for key, value in WHO.items() if key != name})


@pytest.mark.parametrize(("name", "default"), SURFACE["settings"].items())
def test_a_setting_has_its_default(name: str, default: object) -> None:
    assert getattr(thoth.ThothConfig(**WHO), name) == default


@pytest.mark.parametrize("name", SURFACE["settings"])
def test_every_function_takes_every_setting(name: str, world: Any) -> None:
    given = {
        "approved_scope": ["read_customer"],
        "enforcement": "progressive",
        "api_url": "https://enforce.acme.example",
        "task_context": {"initiated_by": "human:ann@acme", "task_id": "t", "chain": []},
        "fail_open": True,
        "step_up_timeout_minutes": 1,
        "step_up_poll_interval_seconds": 1,
    }.get(name, "x")
    settings: dict[str, Any] = {**WHO, "enforcer": world.enforcer, name: given}

    def read_customer(id: str) -> str:
        return id

    assert thoth.instrument(read_customer, **settings)("1") == "1"
    for function in (thoth.instrument_anthropic, thoth.instrument_openai):
        assert function({"read_customer": read_customer}, **settings)["read_customer"]("1") == "1"


@pytest.mark.parametrize(("variable", "field"), SURFACE["environment"].items())
def test_a_variable_is_read(variable: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    assert getattr(thoth.ThothConfig(**WHO), field) in ("1", True)


@pytest.mark.parametrize(("name", "value"), SURFACE["enforcement_mode"].items())
def test_a_mode_is_there_and_is_its_word(name: str, value: str) -> None:
    assert thoth.EnforcementMode[name] == value
    assert thoth.ThothConfig(**WHO, enforcement=thoth.EnforcementMode[name]).enforcement == value


@pytest.mark.parametrize("name", SURFACE["client_methods"])
def test_a_method_of_the_client_is_there(name: str) -> None:
    assert callable(getattr(thoth.ThothClient, name))


@pytest.mark.parametrize("name", SURFACE["violation_attributes"])
def test_a_violation_has_an_attribute(name: str, anywhere: Any) -> None:
    client = anywhere.client()
    with pytest.raises(thoth.ThothPolicyViolation) as refused:
        client.check("wipe", {"path": "/"})
    value = getattr(refused.value, name)
    if name in ("tool_name", "reason", "violation_id", "decision_reason_code", "authorization_decision"):
        assert isinstance(value, str)
        assert value
    if name.endswith(("_ids", "_regimes", "_references", "_signals", "_contributors")):
        assert isinstance(value, list)


@pytest.mark.parametrize("name", SURFACE["session_attributes"])
def test_a_session_has_an_attribute(name: str, world: Any) -> None:
    seen = []

    @world.client().tool
    def read_customer(id: str) -> None:
        seen.append(getattr(thoth.get_current_session(), name))

    read_customer("1")
    assert seen[0] is not None


def test_code_that_was_written_for_the_public_sdk_runs_unchanged(world: Any) -> None:
    from thoth import EnforcementMode, ThothClient, ThothConfig, ThothPolicyViolation

    class Search:
        name = "read_customer"

        def run(self, query: str) -> str:
            return f"found {query}"

    class Agent:
        def __init__(self) -> None:
            self.tools = [Search()]

    config = ThothConfig(
        agent_id="invoice-processor",
        approved_scope=["read_customer"],
        tenant_id="acme",
        user_id="system",
        enforcement=EnforcementMode.BLOCK,
        enforcer=world.enforcer,
    )
    client = ThothClient(config)
    agent = client.instrument(Agent())
    with pytest.raises(ThothPolicyViolation) as refused:
        agent.tools[0].run("x")  # the policy declares `id`
    assert refused.value.decision_reason_code == "arguments_invalid"
    tools = client.wrap_anthropic_tools({"read_customer": lambda tool_input: tool_input["id"]})
    assert tools["read_customer"]({"id": "7"}) == "7"
