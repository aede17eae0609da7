"""Headers of our pages, where the host sends none of its own."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request, request_finished

__all__ = ["send_headers"]


def send_headers(app: Flask) -> None:
    """Keep our pages out of other sites' frames, unless the host says who may frame them, and
    keep browsers from guessing types.

    A signal, because it comes after everything a host does to a response, whatever the order in
    which it was set up.
    """
    request_finished.connect(_add, app)


def _add(_sender: Flask, *, response: Response, **_more: Any) -> None:
    if "commweb" not in request.blueprints:
        return
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    policies = " ".join(response.headers.getlist("Content-Security-Policy"))
    if "frame-ancestors" not in policies.lower():
        response.headers.setdefault("X-Frame-Options", "DENY")
