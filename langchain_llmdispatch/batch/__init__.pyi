from langchain_llmdispatch.batch.report import BatchReport as BatchReport
from langchain_llmdispatch.batch.run import (
    arun_batch as arun_batch,
    run_batch as run_batch,
)
