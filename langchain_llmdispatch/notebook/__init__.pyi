from langchain_llmdispatch.notebook.money import plot_savings as plot_savings
from langchain_llmdispatch.notebook.plots import (
    Display as Display,
    plot_attempts as plot_attempts,
    plot_cost as plot_cost,
    plot_latency as plot_latency,
    plot_tradeoff as plot_tradeoff,
    show as show,
    to_pandas as to_pandas,
)
