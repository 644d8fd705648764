"""Writes the dashboards beside this file, for Grafana over the Prometheus that reads `trajectory serve --metrics`.

    pip install grafana-foundation-sdk
    python dashboards.py

The data source is asked for when a dashboard is opened; the ids of traces are the exemplars of the latency panels.
"""

from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
AGENT, TARGET, MODEL, TOOL = (
    "gen_ai_agent_name",
    "trajectory_target_agent_name",
    "gen_ai_request_model",
    "gen_ai_tool_name",
)
KIND, TOKENS, OPERATION = "trajectory_finding_kind", "gen_ai_token_type", "gen_ai_operation_name"


class Asked(NamedTuple):
    """A panel: its title, the unit, the query, and the labels that its lines are named by."""

    title: str
    unit: str
    query: str
    by: tuple[str, ...]


def summed(metric: str, *by: str, over: str = "rate") -> str:
    return f"sum by ({', '.join(by)}) ({over}({metric}[$__rate_interval]))"


def quantile(part: float, metric: str, *by: str) -> str:
    return f"histogram_quantile({part}, {summed(metric + '_bucket', *by, 'le')})"


def total(title: str, unit: str, metric: str, *by: str, over: str = "rate") -> Asked:
    return Asked(title, unit, summed(metric, *by, over=over), by)


def ratio(title: str, part: str, whole: str, *by: str) -> Asked:
    return Asked(title, "percentunit", f"{summed(part, *by)} / {summed(whole, *by)}", by)


def latency(title: str, part: float, metric: str, *by: str) -> Asked:
    return Asked(title, "s", quantile(part, metric, *by), by)


ITEMS = "trajectory_delegation_items"
TEAM = [
    total("Work a second", "reqps", "trajectory_operations_total", AGENT, OPERATION),
    ratio("Errors", 'trajectory_operations_total{error_type!=""}', "trajectory_operations_total", AGENT, OPERATION),
    latency("Model latency, 95 of 100", 0.95, "gen_ai_client_operation_duration_seconds", AGENT, MODEL),
    latency("First piece, half", 0.5, "gen_ai_client_operation_time_to_first_chunk_seconds", AGENT, MODEL),
    total("Tokens a second", "short", "gen_ai_client_token_usage_sum", AGENT, TOKENS),
    total("US dollars a second", "currencyUSD", "trajectory_cost_usd_total", AGENT, MODEL),
    total("Calls without a known cost", "short", "trajectory_unknown_cost_calls_total", MODEL, over="increase"),
    latency("Tool latency, 95 of 100", 0.95, "gen_ai_execute_tool_duration_seconds", TOOL),
    total("Retries", "short", "trajectory_retries_total", AGENT, TOOL, over="increase"),
    latency("Agents' runs, 95 of 100", 0.95, "gen_ai_invoke_agent_duration_seconds", AGENT),
    total("Findings", "short", "trajectory_findings_total", KIND, "trajectory_finding_severity", over="increase"),
    total("Delegations a second", "short", "trajectory_delegations_total", AGENT, TARGET),
    ratio("What is needed and arrives", f"{ITEMS}_arrived_total", f"{ITEMS}_needed_total", AGENT, TARGET),
]
COLLECTOR = [
    Asked("Serving", "bool_yes_no", "trajectory_up", ("instance",)),
    total("Facts a second", "short", "trajectory_facts_total", "instance"),
    Asked("Lag", "s", "trajectory_lag_seconds", ("instance",)),
    total("Missing facts", "short", "trajectory_missing_facts_total", "instance", over="increase"),
    total("Quarantined", "short", "trajectory_quarantined_total", "instance", over="increase"),
    total("Refused", "short", "trajectory_refused_total", "instance", over="increase"),
    Asked("Waiting to be folded", "bytes", "trajectory_journal_bytes", ("instance",)),
    Asked("Store", "bytes", "trajectory_store_bytes", ("instance",)),
    Asked("Traces", "short", "trajectory_traces", ("instance",)),
    Asked("Emitters", "short", "trajectory_emitters", ("instance",)),
]
BOARDS = {
    "team.json": ("trajectory-team", "Trajectory: the team", TEAM),
    "collector.json": ("trajectory-collector", "Trajectory: the collector", COLLECTOR),
}


def panel(asked: Asked) -> timeseries.Panel:
    names = " ".join(f"{{{{{label}}}}}" for label in asked.by)
    query = prometheus.Dataquery().expr(asked.query).legend_format(names).ref_id("A").exemplar("_bucket" in asked.query)
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    drawn = timeseries.Panel().title(asked.title).unit(asked.unit).datasource(SOURCE).legend(legend.show_legend(True))
    return drawn.span(12).height(8).with_target(query)


def board(uid: str, title: str, panels: list[Asked]) -> str:
    made = dashboard.Dashboard(title).uid(uid).tags(["trajectory"]).refresh("30s").time("now-1h", "now")
    made.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    for asked in panels:
        made.with_panel(panel(asked))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


if __name__ == "__main__":
    for name, said in BOARDS.items():
        Path(__file__).with_name(name).write_text(board(*said))
