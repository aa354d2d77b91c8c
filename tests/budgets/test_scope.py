"""Whose account a call spends from."""

from __future__ import annotations

from langchain_llmdispatch.budgets.scope import Spender, user_of
from tests.cases import each
from tests.targets import target

SPENDER = Spender("r1", "t1", "u1", frozenset({"blue", "seq:step:1"}), {"team": "red"})


@each(
    ("scope", "accounts"),
    [
        (None, ("",)),
        ("run", ("r1",)),
        ("thread", ("t1",)),
        ("user", ("u1",)),
        ("metadata:team", ("red",)),
        ("metadata:other", ("",)),
        ("deployment", ("a",)),
        ("vendor", ("openai",)),
    ],
)
def test_each_scope_has_its_account(scope: str | None, accounts: tuple[str, ...]) -> None:
    """What is missing is one account for all."""
    assert tuple(SPENDER.accounts(scope, target("a"))) == accounts


def test_each_tag_has_an_account() -> None:
    """Those of the run and of the deployment; LangChain's own are none."""
    assert SPENDER.accounts("tag", target("a", tags={"green"})) == ["blue", "green"]
    assert Spender().accounts("tag", target("a")) == ("",)


def test_deployments_have_no_account_before_the_decision() -> None:
    """Their budgets are looked at per target."""
    assert SPENDER.accounts("deployment") == ()


def test_the_user_is_the_parameter_or_in_the_metadata() -> None:
    """The parameter first."""
    assert user_of({"user": "a"}, {"user_id": "b"}) == "a"
    assert user_of({}, {"user_id": 7}) == "7"
    assert user_of({}, {}) == ""
