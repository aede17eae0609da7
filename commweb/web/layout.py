"""The host's layout: it has the blocks our pages fill, or a sentence says what to do."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import Environment, TemplateNotFound, nodes

from commweb.errors import MisuseError
from commweb.state import State

__all__ = ["BLOCKS", "layout", "missing_blocks"]

BLOCKS = ("title", "head", "content", "scripts")


def layout(state: State) -> str:
    """The name of the template that COMMWEB_LAYOUT names. It is looked at once, in debug mode
    for each page, because it may be in an editor at that moment.

    Raises `MisuseError` when there is no such template, or one without a block we fill.
    """
    name = state.config.layout
    if name not in state.good_layouts or state.app.debug:
        _check(state.app.jinja_env, name)
        state.good_layouts.add(name)
    return name


def _check(environment: Environment, name: str) -> None:
    try:
        missing = missing_blocks(environment, name)
    except TemplateNotFound as error:
        raise MisuseError(
            f"The layout {name!r} or a template it extends was not found: {error.name!r}. Put it "
            "into the app's templates folder, or name another one in COMMWEB_LAYOUT."
        ) from None
    if missing:
        named = " and ".join(f"{block!r}" for block in missing)
        example = " ".join(f"{{% block {block} %}}{{% endblock %}}" for block in missing)
        raise MisuseError(
            f"The layout {name!r}, which COMMWEB_LAYOUT names, has no block {named}. "
            f"commweb's pages fill it: add {example} to the template."
        )


def missing_blocks(environment: Environment, name: str) -> tuple[str, ...]:
    """The blocks that neither the template nor one it extends has. Where a parent is chosen
    while rendering, it cannot be known, and none is reported."""
    found: set[str] = set()
    for template in _parents(environment, name):
        if template is None:
            return ()
        found.update(block.name for block in template.find_all(nodes.Block))
    return tuple(block for block in BLOCKS if block not in found)


def _parents(environment: Environment, name: str) -> Iterator[nodes.Template | None]:
    """The template and those it extends, parsed; None for one that is not named plainly."""
    seen: set[str] = set()
    following: str | None = name
    while following is not None and following not in seen:
        seen.add(following)
        template = _parsed(environment, following)
        yield template
        extends = template.find(nodes.Extends)
        if extends is None:
            return
        parent = extends.template
        following = parent.value if isinstance(parent, nodes.Const) else None
        if following is None:
            yield None


def _parsed(environment: Environment, name: str) -> nodes.Template:
    if environment.loader is None:
        raise TemplateNotFound(name)
    source, _file, _is_current = environment.loader.get_source(environment, name)
    return environment.parse(source, name)
