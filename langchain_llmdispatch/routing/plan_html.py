"""A plan as HTML for notebooks: no scripts, everything escaped, light and dark."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from langchain_llmdispatch.routing.plan import Plan, PlannedDeployment
    from langchain_llmdispatch.routing.router import Exclusion

STYLE = """
.llmd-plan{font:13px/1.5 system-ui,sans-serif;color-scheme:light dark;max-width:62rem}
.llmd-plan table{border-collapse:collapse;width:100%}
.llmd-plan th,.llmd-plan td{text-align:left;padding:.25em .7em;vertical-align:top;
border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}
.llmd-plan .n{text-align:right;font-variant-numeric:tabular-nums}
.llmd-plan .out{opacity:.6}.llmd-plan .tag{border:1px solid currentColor;border-radius:.7em;padding:0 .5em;
font-size:11px;opacity:.8}.llmd-plan .closed{color:#2e7d32}.llmd-plan .open{color:#c62828}
.llmd-plan .half_open{color:#b26a00}
@media (prefers-color-scheme:dark){.llmd-plan .closed{color:#81c784}.llmd-plan .open{color:#ef9a9a}
.llmd-plan .half_open{color:#ffcc80}}
"""
_HEADINGS = ("", "deployment", "cost", "worst", "latency", "health", "adapts")


def render(plan: Plan) -> str:
    """Return the plan as one block of HTML."""
    asked = f" for <b>{escape(plan.route)}</b>" if plan.route else ""
    rule = f", rule: {escape(plan.rule)}" if plan.rule else ""
    head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    rows = "".join(_row(n, planned) for n, planned in enumerate(plan.candidates, 1))
    out = "".join(map(_left_out, plan.excluded))
    return (
        f'<div class="llmd-plan"><style>{STYLE}</style>'
        f"<div>Plan{asked}: strategy <b>{escape(plan.strategy)}</b>{rule}, "
        f"about {plan.input_tokens:,} input tokens</div>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}{out}</tbody></table>"
        f"<div>{escape(str(plan.bound))}</div></div>"
    )


def _row(number: int, planned: PlannedDeployment) -> str:
    tags = "".join(f' <span class="tag">{escape(word)}</span>' for word in planned.why)
    wait = f" after {planned.wait_s:.1f} s" if planned.wait_s else ""
    state = planned.health.state
    left = "".join(f", {escape(kind)} left {value:g}" for kind, value in planned.headroom.items())
    doubt = [f"although {planned.doubt}"] if planned.doubt else []
    changes = "; ".join([*doubt, *(f"{c.kind}: {c.detail}" for c in planned.changes)])
    latency = "" if planned.latency_s is None else f"{planned.latency_s:.2f} s"
    return (
        f'<tr><td class="n">{number}</td><td>{escape(planned.deployment)}{tags}{wait}</td>'
        f'<td class="n">{_dollars(planned.cost_usd)}</td><td class="n">{_dollars(planned.worst_usd)}</td>'
        f'<td class="n">{latency}</td>'
        f'<td><span class="{state}">{state.replace("_", " ")}</span>{left}</td>'
        f"<td>{escape(changes)}</td></tr>"
    )


def _left_out(excluded: Exclusion) -> str:
    return (
        f'<tr class="out"><td></td><td>{escape(excluded.deployment)}</td>'
        f'<td colspan="5">left out: {escape(excluded.reason)}</td></tr>'
    )


def _dollars(usd: Decimal | None) -> str:
    return "unknown" if usd is None else f"${usd:.6f}"
