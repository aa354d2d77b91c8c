from langchain_llmdispatch.errors import LocalModelError as LocalModelError
from langchain_llmdispatch.local.model_files import (
    fetch_model as fetch_model,
    find_model as find_model,
)
from langchain_llmdispatch.local.models import (
    DEFAULT_MODEL as DEFAULT_MODEL,
    LOCAL_MODELS as LOCAL_MODELS,
    LocalModel as LocalModel,
)
from langchain_llmdispatch.local.server import (
    LocalServer as LocalServer,
    base_url as base_url,
    local_server as local_server,
)
