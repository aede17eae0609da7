"""The college's tables. Some are named like classes of commweb, and one has another database."""

from __future__ import annotations

from uuid import uuid4

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Without a naming convention, as it was."""


db = SQLAlchemy(model_class=Base)


class Scholar(db.Model):
    __tablename__ = "scholar"

    id: Mapped[str] = mapped_column(primary_key=True, default=lambda: str(uuid4()))
    handle: Mapped[str] = mapped_column(unique=True)
    called: Mapped[str]
    warden: Mapped[bool] = mapped_column(default=False)
    away: Mapped[bool] = mapped_column(default=False)


class Paper(db.Model):
    __tablename__ = "paper"

    number: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    seats: Mapped[list[Seat]] = relationship(back_populates="paper", cascade="all, delete-orphan")


class Seat(db.Model):
    __tablename__ = "seat"

    paper_number: Mapped[int] = mapped_column(ForeignKey("paper.number"), primary_key=True)
    scholar_id: Mapped[str] = mapped_column(ForeignKey("scholar.id"), primary_key=True)
    lectures: Mapped[bool] = mapped_column(default=False)
    class_letter: Mapped[str | None]
    paper: Mapped[Paper] = relationship(back_populates="seats")
    scholar: Mapped[Scholar] = relationship()


class Change(db.Model):
    """A change of the college's own, kept in the archive."""

    __tablename__ = "change"
    __bind_key__ = "archive"

    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str]
