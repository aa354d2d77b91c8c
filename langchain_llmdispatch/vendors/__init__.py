"""The vendors: a folder each, with all its facts, and one line here.

Owns: codecs, from LangChain's messages to bytes and back. `base` is what a vendor is; `request`, `answer`,
`stream` and `errors` are what codecs share. A vendor of a third party is one file that imports from `base`.
Must not know: connections, attempts, policy. A codec holds no client and no clock.
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {"HOSTED": "vendors.builtin", "VENDORS": "vendors.builtin", "builtin_vendors": "vendors.builtin"}

_, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
