from fractions import Fraction

import av
import numpy as np
import pytest
from clips import frames, static_camera, texture, write_clip

from mmsr_core.errors import VideoError
from mmsr_core.video.clip import Clip, Damage, Frame
from mmsr_core.video.colour import Coding


def shown(path):
    """Every frame of a clip as RGB, and its time in ticks."""
    with Clip(path) as clip:
        items = [item for item in clip.items(()) if isinstance(item, Frame)]
        return [clip.rgb(item) for item in items], [item.pts for item in items]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path, rotation):
    lying, turned = tmp_path / "lying.mp4", tmp_path / "turned.mp4"
    write_clip(lying, static_camera(2))
    write_clip(turned, static_camera(2), rotation=rotation)
    counterclockwise = frames(turned)[0].rotation // 90
    (wanted, _), (got, _) = shown(lying), shown(turned)
    assert np.array_equal(got[0], np.rot90(wanted[0], counterclockwise))


def test_a_rotated_clip_has_its_sides_and_its_samples_turned(tmp_path):
    path = write_clip(tmp_path / "t.mp4", static_camera(2), rotation=90, aspect=Fraction(4, 3))
    with Clip(path) as clip:
        assert (clip.height, clip.width, clip.aspect) == (160, 96, Fraction(3, 4))
        frame = next(clip.items(()))
        assert clip.upright(frame)[0].shape == (160, 96)
        assert clip.upright(frame)[1].shape == (80, 48)


@pytest.mark.parametrize(("height", "matrix"), [(576, 6), (578, 1)])
def test_an_unnamed_matrix_is_guessed_from_the_height_as_players_do(tmp_path, height, matrix):
    path = write_clip(tmp_path / "t.mp4", [texture(height, 64)], tagged=False)
    with Clip(path) as clip:
        assert clip.coding.matrix == matrix


@pytest.mark.parametrize(
    ("codec", "form", "coding"),
    [
        ("libx264", "yuv420p", Coding(6, 8, False)),
        ("libx264", "yuv420p", Coding(1, 8, True)),
        ("libx264", "yuv420p10le", Coding(9, 10, False)),
        ("libx265", "yuv420p10le", Coding(9, 10, False)),
        ("ffv1", "yuv420p", Coding(1, 8, False)),
    ],
    ids=str,
)
def test_a_clip_says_how_its_colours_are_coded(tmp_path, codec, form, coding):
    flat = np.full((64, 64, 3), (0.7, 0.4, 0.2), np.float32)
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = tmp_path / "t.mkv"
    write_clip(path, [flat] * 2, codec=codec, form=form, coding=coding, options=options)
    with Clip(path) as clip:
        assert clip.coding == coding
    assert np.abs(shown(path)[0][0] - flat).max() < 0.015


@pytest.mark.parametrize("form", ["gbrp10le", "yuv444p", "gray", "yuv420p16le", "yuva420p", "bgr0"])
def test_other_pixel_formats_are_read_with_their_colours(tmp_path, form):
    colour = (0.5, 0.5, 0.5) if form == "gray" else (0.8, 0.4, 0.2)
    path = tmp_path / "t.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, form
        pixels = np.rint(np.full((64, 64, 3), colour) * 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
        container.mux(stream.encode(frame.reformat(format=form)))
        container.mux(stream.encode(None))
    assert np.abs(shown(path)[0][0] - np.array(colour, np.float32)).max() < 0.015


def test_a_cover_is_not_the_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuvj420p"
        video.disposition = av.stream.Disposition.attached_pic
        sound = container.add_stream("aac", rate=48000)
        container.mux(video.encode(av.VideoFrame(64, 64, "yuvj420p")))
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        silence.sample_rate = 48000
        container.mux(sound.encode(silence))
        container.mux([*video.encode(None), *sound.encode(None)])
    with pytest.raises(VideoError, match=r"song.mp4: has no video stream"):
        Clip(path)


def test_a_file_that_is_no_video_is_one_line(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("not a video\n" * 100)
    with pytest.raises(VideoError, match=r"text.mp4: .+") as caught:
        Clip(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(VideoError, match="No such file"):
        Clip(tmp_path / "none.mp4")


def test_damage_is_told_and_the_rest_is_read(tmp_path):
    path = write_clip(tmp_path / "t.ts", static_camera(60), options={"g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 10] = np.random.default_rng(0).bytes(len(data) // 10)
    path.write_bytes(data)
    with Clip(path) as clip:
        items = list(clip.items(()))
    assert 40 <= sum(isinstance(item, Frame) for item in items) <= 60
    times = [item.pts for item in items if isinstance(item, Frame)]
    assert times == sorted(set(times))


def test_a_clip_that_ends_early_gives_what_is_there(tmp_path):
    path = write_clip(tmp_path / "t.mkv", static_camera(40), options={"g": "10"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with Clip(path) as clip:
        items = list(clip.items(()))
    assert 10 < sum(isinstance(item, Frame) for item in items) < 40
    assert all(isinstance(item, Frame | Damage) for item in items)


def test_frames_without_a_time_follow_each_other(tmp_path):
    path = write_clip(tmp_path / "raw.h264", static_camera(12))
    _, times = shown(path)
    assert len(times) == 12
    assert len(set(np.diff(times))) == 1


def test_a_frame_of_another_size_is_brought_to_the_first_ones(tmp_path):
    small = write_clip(tmp_path / "a.h264", [texture(64, 64)] * 3)
    large = write_clip(tmp_path / "b.h264", [texture(96, 128)] * 3)
    both = tmp_path / "c.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    pictures, _ = shown(both)
    assert [picture.shape for picture in pictures] == [(64, 64, 3)] * 6
