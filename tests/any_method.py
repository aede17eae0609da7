"""A handler of `http.server` for servers that treat every method alike."""

from __future__ import annotations

import http.server
from typing import Any

__all__ = ["AnyMethod"]


class AnyMethod(http.server.BaseHTTPRequestHandler):
    """Answers every request with `any_method`, and logs nothing."""

    def any_method(self) -> None:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        # `http.server` looks for do_GET, do_POST and so on.
        if name.startswith("do_"):
            return self.any_method
        raise AttributeError(name)

    def log_message(self, *_args: Any) -> None:
        pass
