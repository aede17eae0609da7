"""Uploaded pictures: drawn anew, with nothing beside the picture."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from commweb.site import db
from commweb.site.images import ImageError, check_image, holds_more_than_a_picture
from commweb.site.models import Course, Picture
from commweb.site.seed import prepare, seed
from tests.unit.site.conftest import ADMIN_PASSWORD, PEOPLE_PASSWORD, Browser
from tests.unit.site.pictures import EDIT, picture, upload

SECRET = "48.8584 N 2.2945 E"
KINDS = ["PNG", "JPEG", "WEBP", "GIF"]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def exif(**entries: int) -> Image.Exif:
    made = Image.Exif()
    made[0x010E] = SECRET  # ImageDescription
    made.get_ifd(0x8825)[0x001D] = "2030:01:01"  # GPSDateStamp
    made.update({int(tag[1:], 16): value for tag, value in entries.items()})
    return made


def with_everything(kind: str) -> bytes:
    """A picture with all that can stand beside one."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": exif(), "icc_profile": profile, "xmp": SECRET.encode()}
    if kind == "GIF":
        options = {"comment": SECRET.encode()}
    if kind == "JPEG":
        options["comment"] = SECRET
    if kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", SECRET)
        texts.add_itxt("XML:com.adobe.xmp", SECRET)
        options = {"pnginfo": texts, "exif": exif(), "icc_profile": profile}
    return picture(kind, **options) + SECRET.encode()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_picture_is_kept(school, kind):
    sent = with_everything(kind)
    assert SECRET.encode() in sent
    assert holds_more_than_a_picture(sent)
    browser = school.browser("teacher1")
    assert upload(browser, sent, "misnamed.txt").status_code == 303
    answer = browser.get("/courses/1/image")
    assert answer.mimetype == f"image/{kind.lower()}"
    for trace in (SECRET.encode(), b"Exif", b"GPS", b"ICC", b"acsp", b"xmp", b"2030:01:01"):
        assert trace not in answer.data
    shown = opened(answer.data)
    assert not shown.getexif()
    assert shown.size == (8, 8)
    red, green, blue = shown.convert("RGB").getpixel((4, 4))
    assert abs(red - 0x33) < 4
    assert abs(green - 0x66) < 4
    assert abs(blue - 0x99) < 4
    assert not holds_more_than_a_picture(answer.data)


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_is_that_of_what_is_kept(kind):
    kept = check_image(with_everything(kind), 10**6)
    assert kept.digest == hashlib.sha256(kept.data).hexdigest()
    assert kept == check_image(with_everything(kind), 10**6), "the same picture is the same"


def test_a_picture_taken_sideways_stands_upright():
    file = io.BytesIO()
    sideways = Image.new("RGB", (8, 4), "black")
    sideways.paste("white", (0, 0, 4, 4))
    sideways.save(file, "PNG", exif=exif(x0112=6))  # to be turned by 90 degrees clockwise
    upright = opened(check_image(file.getvalue(), 10**6).data)
    assert upright.size == (4, 8)
    assert upright.getpixel((1, 1)) == (255, 255, 255)
    assert upright.getpixel((1, 7)) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_kept(kind):
    file = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert opened(file.getvalue()).n_frames == 3
    kept = opened(check_image(file.getvalue(), 10**6).data)
    assert getattr(kept, "n_frames", 1) == 1
    assert kept.convert("RGB").getpixel((4, 4))[0] > 250


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_what_is_transparent_stays_so(kind):
    file = io.BytesIO()
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    half.paste((255, 0, 0, 255), (0, 0, 4, 8))
    half.save(file, kind)
    kept = opened(check_image(file.getvalue(), 10**6).data).convert("RGBA")
    assert kept.getpixel((7, 4))[3] == 0
    assert kept.getpixel((0, 4))[3] == 255


def test_a_picture_of_many_grey_levels_keeps_its_grey():
    file = io.BytesIO()
    Image.new("I;16", (4, 4), 30000).save(file, "PNG")
    assert opened(check_image(file.getvalue(), 10**6).data).getpixel((0, 0)) == (117,) * 3


def test_a_picture_that_would_grow_is_kept_smaller():
    noise = Image.frombytes("L", (300, 300), os.urandom(90_000))
    file = io.BytesIO()
    noise.save(file, "WEBP", quality=1)
    limit = len(file.getvalue())
    kept = check_image(file.getvalue(), limit)
    assert len(kept.data) <= limit
    assert opened(kept.data).width < 300


def test_a_very_large_picture_is_kept_at_two_thousand_pixels():
    assert opened(check_image(picture(size=(4000, 1000)), 10**6).data).size == (2000, 500)


def test_a_picture_is_shown_and_not_sent_again_while_it_is_the_same(school):
    browser = school.browser("teacher1")
    upload(browser, picture())
    assert "/courses/1/image?v=" in browser.get("/courses/1").text
    answer = browser.get("/courses/1/image")
    again = browser.client.get(
        "/courses/1/image", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304


def test_a_picture_is_for_the_people_of_the_course(school):
    upload(school.browser("teacher1"), picture())
    assert school.browser("student1").get("/courses/1/image").status_code == 200
    assert school.browser("student8").get("/courses/1/image").status_code == 403
    assert school.browser("admin").get("/courses/2/image").status_code == 404


def test_another_picture_replaces_the_first_and_can_be_removed(school):
    browser = school.browser("teacher1")
    upload(browser, picture())
    assert upload(browser, picture(size=(9, 9))).status_code == 303
    assert opened(browser.get("/courses/1/image").data).size == (9, 9)
    assert browser.post("/courses/1/edit", **EDIT).status_code == 303
    assert browser.get("/courses/1/image").status_code == 200, "no file keeps the picture"
    browser.post("/courses/1/edit", **EDIT, remove_image="y")
    assert browser.get("/courses/1/image").status_code == 404


@pytest.mark.parametrize(
    "data",
    [
        b"no image",
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture()[:40],
        picture("GIF")[:-20],
        picture("BMP"),
    ],
    ids=["text", "nothing", "svg", "cut off", "gif cut off", "another format"],
)
def test_a_file_that_is_no_picture_is_refused_and_nothing_is_stored(school, data):
    answer = upload(school.browser("teacher1"), data)
    assert answer.status_code == 422
    assert "not an image the site can read" in answer.text
    assert 'aria-describedby="image-error image-help"' in answer.text
    with school.app.app_context():
        assert db.session.get(Course, 1).full_name == "Algebra I"


def test_a_picture_with_too_many_bytes_is_refused_in_words(school):
    limit = school.app.config["MAX_IMAGE_BYTES"]
    with school.app.test_request_context(), pytest.raises(ImageError) as refused:
        check_image(picture() + bytes(limit), limit)
    assert str(refused.value) == "The picture is too large. Use at most 2 MB."


def test_a_picture_that_is_too_large_is_refused_beside_the_field(make_site):
    with make_site(MAX_IMAGE_BYTES=2000) as app:
        seed(app, ADMIN_PASSWORD, PEOPLE_PASSWORD)
        browser = Browser(app)
        browser.login("teacher1")
        answer = upload(browser, picture() + bytes(3000))
        assert answer.status_code == 422
        assert "The picture is too large." in answer.text
        assert 'id="image-error"' in answer.text


def test_a_form_with_too_many_bytes_is_refused_in_words(make_site):
    with make_site(MAX_CONTENT_LENGTH=50_000) as app:
        seed(app, ADMIN_PASSWORD, PEOPLE_PASSWORD)
        browser = Browser(app)
        browser.login("teacher1")
        answer = upload(browser, picture() + bytes(60_000))
        assert answer.status_code == 413
        assert "Too large: at most 2 MB for a picture, 6 MB for a form." in answer.text


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 900 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_a_small_file_with_huge_measures_is_not_unpacked():
    with pytest.raises(ImageError, match="too many pixels"):
        check_image(picture(size=(5000, 5000)), 10_000_000)


def test_a_bomb_is_refused_beside_the_field(school):
    answer = upload(school.browser("teacher1"), bomb())
    assert answer.status_code == 422
    assert 'id="image-error"' in answer.text


def test_pictures_of_an_earlier_version_lose_what_stands_beside_them_and_are_reported(school):
    school.forget_reports()
    sent, bare = with_everything("JPEG"), check_image(picture(), 10**6)
    with school.app.app_context():
        for number, data, kind in ((1, sent, "jpeg"), (2, bare.data, "png"), (3, b"none", "png")):
            digest = hashlib.sha256(data).hexdigest()
            kept = Picture(digest=digest, media_type=f"image/{kind}", data=data)
            db.session.get(Course, number).picture = kept
        db.session.commit()
    prepare(school.app)
    with school.app.app_context():
        first, second, third = (db.session.get(Picture, number) for number in (1, 2, 3))
        assert SECRET.encode() not in first.data
        assert first.digest == hashlib.sha256(first.data).hexdigest()
        assert second.data == bare.data
        assert third.data == b"none"
    assert school.reports() == [("course", "1")]
    prepare(school.app)
    assert school.reports() == [("course", "1")], "the second time changes nothing"
