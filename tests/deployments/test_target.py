"""Targets: what their copies and pickles hold."""

from __future__ import annotations

import copy
import pickle

from langchain_llmdispatch import Deployment, DispatcherChatModel
from tests.canaries import found

KEY, HEADER, QUERY, PROXY = "cAnary-key-0123", "cAnary-header-0123", "cAnary-query-0123", "cAnary-proxy-0123"


def test_a_pickle_holds_no_credential() -> None:
    """Neither the key nor headers, a query, or the environment with a proxy's password."""
    here = Deployment("openai:gpt-5.4-mini", api_key=KEY, headers={"x-any": HEADER}, query={"sig": QUERY})
    model = DispatcherChatModel(models=[here], env={"https_proxy": f"http://me:{PROXY}@proxy.test"})
    (target,) = model.deployments()
    data = pickle.dumps(target)
    assert (
        found((KEY, HEADER, QUERY, PROXY), [("pickle", data.decode("latin-1")), ("repr", repr(target))]) == []
    )
    twin = pickle.loads(data)
    assert (twin.name, twin.model, twin.key, twin.facts) == (
        target.name,
        target.model,
        target.key,
        target.facts,
    )
    assert copy.copy(target) is copy.deepcopy(target) is target
