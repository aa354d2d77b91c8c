"""Variables, and which of them only a file of the current folder has set."""

from __future__ import annotations

from collections.abc import Mapping


class Variables(dict[str, str]):
    """The process's variables over those of a `.env` file.

    A file in the current folder may be a stranger's (a cloned repository): an address from it is used only
    with a key from it, so the resolver must know which variables are the file's.

    Args:
        process: The process's own variables.
        file: Those of the file.
        path: The file, for messages.
    """

    def __init__(self, process: Mapping[str, str], file: Mapping[str, str], path: str) -> None:
        super().__init__({**file, **process})
        self._file, self.path = dict(file), path

    def is_of_file(self, name: str) -> bool:
        """Return whether a variable has the value that the file sets."""
        return name in self._file and self.get(name) == self._file[name]
