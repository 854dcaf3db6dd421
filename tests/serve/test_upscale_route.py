"""POST /v1/upscale: a picture in, a larger picture out, or a problem."""

import numpy as np
import pytest
from asking import decoded, png, problem, send

from mmsr_core.api.model import Model
from mmsr_core.runtime.image import Image, Metadata, Resolution, read, write
from mmsr_core.runtime.sizes import Size


def test_the_answer_is_what_the_engine_makes_of_the_picture(client, models, tmp_path):
    answer = send(client, effort="0.5")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert 'filename="photo-x2.png"' in answer.headers["content-disposition"]
    source = tmp_path / "photo.png"
    source.write_bytes(png())
    expected = Model(models.open(None).sized(Size())).upscale(source, effort=0.5).uint8()
    assert np.array_equal(decoded(answer.content), expected)


def test_how_the_time_was_spent_is_told_with_the_answer(client):
    answer = send(client)
    assert "experts;dur=" in answer.headers["server-timing"]
    assert float(answer.headers["x-mmsr-cost"]) > 0


def test_metadata_travels_along(client, tmp_path):
    source, target = tmp_path / "source.jpg", tmp_path / "target.jpg"
    known = Metadata(xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", resolution=Resolution(300, 300))
    write(source, Image(np.full((24, 32, 3), 0.5, np.float32), metadata=known))
    answer = send(client, source.read_bytes(), name="holiday.jpg")
    target.write_bytes(answer.content)
    assert answer.headers["content-type"] == "image/jpeg"
    assert read(target).metadata.resolution == (300, 300)
    assert b"xmpmeta" in read(target).metadata.xmp


@pytest.mark.parametrize(
    ("form", "media"),
    [("png", "png"), ("jpg", "jpeg"), ("webp", "webp"), ("tiff", "tiff"), ("avif", "avif")],
)
def test_the_format_is_as_asked(client, form, media):
    assert send(client, format=form).headers["content-type"] == f"image/{media}"


@pytest.mark.parametrize(
    ("fields", "shape"),
    [({"scale": "1.5"}, (36, 48)), ({"width": "80"}, (60, 80)), ({"height": "30"}, (30, 40))],
)
def test_any_size_can_be_asked_for(client, fields, shape):
    assert decoded(send(client, **fields).content).shape[:2] == shape


def test_a_name_of_a_file_is_kept_without_its_folders(client):
    answer = send(client, name="../../etc/pässe.png")
    assert "p%C3%A4sse-x2.png" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"effort": "2"}, "effort"),
        ({"effort": "nan"}, "effort"),
        ({"efort": "1"}, 'no field "efort"'),
        ({"model": "tiny-x3"}, 'did you mean "tiny-x2"'),
        ({"format": "gif"}, "format"),
        ({"quality": "0"}, "quality"),
        ({"scale": "2", "width": "90"}, "can't hold together"),
        ({"width": "8"}, "larger than"),
        ({"scale": "60"}, "passes"),
        ({"map": "true"}, "/v1/jobs"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(client, fields, told):
    assert told in problem(send(client, **fields), 422)


@pytest.mark.parametrize(
    "content", [b"", b"no picture", png()[:40], b"\x89PNG\r\n\x1a\n" + bytes(90)]
)
def test_what_is_no_image_is_415(client, content):
    assert "/" not in problem(send(client, content), 415)


def test_a_picture_that_breaks_off_is_422_and_tells_no_path(client):
    assert problem(send(client, png()[:1500]), 422) == "photo.png: truncated or damaged"


def test_a_request_without_a_picture_is_422(client):
    assert problem(client.post("/v1/upscale", data={"effort": "1"}), 422).startswith("image:")


def test_a_picture_with_too_many_pixels_is_413(serving):
    with serving(pixels=24 * 31) as client:
        assert "32x24 is larger than" in problem(send(client), 413)


def test_an_answer_with_too_many_pixels_is_413(serving):
    with serving(pixels=1000) as client:
        assert "128x" not in problem(send(client, scale="16"), 413)


@pytest.mark.parametrize("told", [True, False])
def test_a_request_that_is_too_large_is_413(serving, told):
    with serving(body=1000) as client:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        body = bytes(2000) if told else iter([bytes(2000)])
        answer = client.post("/v1/upscale", content=body, headers=headers)
        assert "larger than" in problem(answer, 413)


def test_a_body_that_is_no_form_is_a_problem(client):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/upscale", content=b"--y\r\n", headers=headers)
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2", 404), ("GET", "/v1/upscale", 405), ("GET", "/v1/jobs/none", 404)],
)
def test_every_error_is_a_problem(client, method, path, status):
    problem(client.request(method, path), status)


def test_nothing_is_left_behind(client, home):
    assert send(client).status_code == 200
    problem(send(client, b"no picture"), 415)
    problem(send(client, png()[:1500]), 422)
    problem(send(client, scale="60"), 422)
    assert list(home.iterdir()) == []
