"""The course site that ships with commweb: a host like any other, on public names only.

``db`` and ``comm`` keep nothing of an app: several apps in one process share them.
"""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from commweb import CommWeb

__all__ = ["Base", "comm", "db"]


class Base(DeclarativeBase):
    """The base of the site's own tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)
comm = CommWeb()
