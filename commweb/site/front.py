"""What stands between browsers and the site: proxies, and the names it answers to."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.exceptions import SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix

__all__ = ["know_proxies", "lead_to_paths_only", "refuse_other_names", "server_options"]


def know_proxies(app: Flask) -> None:
    """Believe the last ``TRUSTED_PROXIES`` addresses of X-Forwarded-For, and as many schemes of
    X-Forwarded-Proto. With none, both headers mean nothing: anybody can send them.

    A proxy hands on the Host header itself; X-Forwarded-Host is never believed.
    """
    number = app.config["TRUSTED_PROXIES"]
    if number:
        proxied = ProxyFix(app.wsgi_app, x_for=number, x_proto=number, x_host=0)
        app.wsgi_app = proxied  # type: ignore[method-assign]


def server_options(app: Flask) -> dict[str, bool]:
    """What waitress has to know of it: it removes forwarding headers unless told not to."""
    return {"clear_untrusted_proxy_headers": not app.config["TRUSTED_PROXIES"]}


def refuse_other_names(app: Flask) -> None:
    """Refuse a request for a name that is not in ``TRUSTED_HOSTS`` before anything else looks at
    it: no address of the site can be built under such a name, not even for a page of an error.
    """

    @app.before_request
    def refuse() -> None:
        if isinstance(request.routing_exception, SecurityError):
            raise request.routing_exception


def lead_to_paths_only(app: Flask) -> None:
    """Make redirects within the site lead to a path, without the Host header's name in it.

    Flask writes its own address into those that add a missing slash.
    """

    @app.after_request
    def shorten(response: Response) -> Response:
        location = response.headers.get("Location")
        if location and location.startswith(("http:", "https:")):
            target = urlsplit(location)
            if target.netloc == request.host:
                path = "/" + target.path.lstrip("/")
                response.headers["Location"] = target._replace(
                    scheme="", netloc="", path=path
                ).geturl()
        return response
