"""What a site from an earlier version still holds, brought to what the site keeps today."""

from __future__ import annotations

from flask import current_app
from sqlalchemy import select

from commweb.site import comm, db
from commweb.site.images import ImageError, check_image, holds_more_than_a_picture
from commweb.site.models import Picture

__all__ = ["draw_pictures_anew"]


def draw_pictures_anew() -> int:
    """Take out what cameras and programs wrote beside stored pictures (a place, a device); how
    many pictures held something. Needs an app context; commits.
    """
    limit = current_app.config["MAX_IMAGE_BYTES"]
    changed = 0
    for course_id in db.session.scalars(select(Picture.course_id)).all():
        picture = db.session.get_one(Picture, course_id)
        if holds_more_than_a_picture(picture.data):
            changed += _draw_anew(picture, limit)
        db.session.commit()
        db.session.expunge_all()  # one picture in memory at a time
    return changed


def _draw_anew(picture: Picture, limit: int) -> bool:
    try:
        drawn = check_image(picture.data, max(limit, len(picture.data)))
    except ImageError:
        return False
    picture.digest, picture.media_type, picture.data = drawn.digest, drawn.media_type, drawn.data
    comm.course_changed(str(picture.course_id))
    return True
