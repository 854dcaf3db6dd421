"""Whole clips, from file to file."""

import re
import threading
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from clips import BT709, frames, packets, static_camera, texture, write_clip

from mmsr_core.errors import VideoError
from mmsr_core.runtime.chain import Upscaler
from mmsr_core.runtime.sizes import Size
from mmsr_core.video import Settings, upscale_video
from mmsr_core.video.clip import Clip, Frame
from mmsr_core.video.colour import WEIGHTS, Coding

COLOURS = np.random.default_rng(3).random((4, 6, 3)).astype(np.float32)
SWSCALE = {6: Colorspace.ITU601, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020}


def pictures(path):
    with Clip(path) as clip:
        return [clip.rgb(item) for item in clip.items(()) if isinstance(item, Frame)]


def stream_of(path):
    with av.open(str(path)) as container:
        return container.streams.video[0]


def times(path):
    return [frame.pts * frame.time_base for frame in frames(path)]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", list(WEIGHTS))
def test_colours_and_their_coding_are_kept(tmp_path, run, matrix, full):
    patches = COLOURS.repeat(16, 0).repeat(16, 1)
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_clip(source, [patches] * 2, coding=Coding(matrix, 8, full), options={"crf": "4"})
    run(source, target, quality=100)
    for path, size in ((source, 16), (target, 32)):
        frame = frames(path)[0]
        assert (frame.colorspace, frame.color_range) == (matrix, 2 if full else 1)
        seen = frame.reformat(  # by FFmpeg, not by us
            format="gbrpf32le",
            src_colorspace=SWSCALE.get(matrix, matrix),
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        ).to_ndarray()[size // 2 :: size, size // 2 :: size]
        assert np.abs(seen - COLOURS).max() < 4 / 255


def test_a_guessed_matrix_is_written_down(tmp_path, run):
    source = write_clip(tmp_path / "a.mp4", [texture(400, 64)], tagged=False, coding=BT709)
    run(source, tmp_path / "b.mp4")  # 800 rows would be taken for BT.709
    assert frames(tmp_path / "b.mp4")[0].colorspace == 6


def test_frames_are_shown_when_they_were(tmp_path, run):
    uneven = np.cumsum([0, 40, 40, 80, 33, 17, 250, 40, 1, 40]).tolist()
    source = tmp_path / "a.mp4"
    write_clip(source, static_camera(10), pts=uneven, time_base=Fraction(1, 1000))
    run(source, tmp_path / "b.mp4")
    assert times(tmp_path / "b.mp4") == times(source)
    run(source, tmp_path / "c.mkv")
    assert times(tmp_path / "c.mkv") == times(source)


def test_a_stream_that_starts_late_in_its_own_time_starts_at_zero(tmp_path, run):
    source = write_clip(tmp_path / "a.ts", static_camera(25), sound="aac", start=10)
    run(source, tmp_path / "b.mp4")
    assert times(source)[0] > 9
    late = packets(source, "audio")[0][0] - times(source)[0]
    assert times(tmp_path / "b.mp4")[0] < 0.1
    moved = packets(tmp_path / "b.mp4", "audio")[0][0] - times(tmp_path / "b.mp4")[0]
    assert abs(float(moved - late)) < 0.001


def test_a_lying_picture_stands_once(tmp_path, run):
    source = tmp_path / "a.mp4"
    write_clip(source, static_camera(3), rotation=90, aspect=Fraction(4, 3))
    run(source, tmp_path / "b.mp4")
    video = stream_of(tmp_path / "b.mp4")
    assert (video.width, video.height) == (192, 320)
    assert video.sample_aspect_ratio == Fraction(3, 4)
    assert frames(tmp_path / "b.mp4")[0].rotation == 0
    small = cv2.resize(pictures(tmp_path / "b.mp4")[0], (96, 160), interpolation=cv2.INTER_AREA)
    assert np.abs(small - pictures(source)[0]).mean() < 0.01


def test_titles_and_chapters_are_kept(tmp_path, run):
    chapter = {"id": 0, "start": 0, "end": 200, "time_base": Fraction(1, 1000)}
    chapters = [{**chapter, "metadata": {"title": "the start"}}]
    source, notes = tmp_path / "a.mp4", []
    write_clip(source, static_camera(5), metadata={"title": "a disc"}, chapters=chapters)
    run(source, tmp_path / "b.mp4", notes)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.metadata["title"] == "a disc"
        assert [chapter["metadata"] for chapter in container.chapters()] == [{"title": "the start"}]
    assert notes == []


def test_ten_bits_stay_ten(tmp_path, run):
    ramp = np.broadcast_to(np.linspace(0.4, 0.5, 160, dtype=np.float32)[:, None], (96, 160, 3))
    source, coding = tmp_path / "a.mp4", Coding(9, 10, False)
    options = {"x265-params": "log-level=none", "crf": "4"}
    write_clip(
        source, [ramp] * 2, codec="libx265", form="yuv420p10le", coding=coding, options=options
    )
    facts = run(source, tmp_path / "b.mp4", quality=100)
    frame = frames(tmp_path / "b.mp4")[0]
    assert (facts["codec"], frame.format.name) == ("libx265", "yuv420p10le")
    assert stream_of(tmp_path / "b.mp4").codec_tag == "hvc1"
    levels = np.unique(np.rint(pictures(tmp_path / "b.mp4")[0][96, :, 1] * 1023))
    assert len(levels) > 70  # 8 bits have 26 between 0.4 and 0.5


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("coding", [BT709, Coding(9, 10, False)], ids=["h264", "hevc"])
def test_the_shortest_clip_is_one(tmp_path, run, coding, count):
    form = "yuv420p" if coding.bits == 8 else "yuv420p10le"
    source = tmp_path / "a.mkv"
    shots = static_camera(count)
    write_clip(source, shots, codec="ffv1", form=form, coding=coding, options={"g": "1"})
    assert run(source, tmp_path / "b.mp4")["frames"] == count
    assert times(tmp_path / "b.mp4") == times(source)


def test_odd_sides_get_one_more_row_or_column(tmp_path, doubling):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_clip(source, [texture(30, 46)] * 2)
    upscaler = Upscaler((doubling,), Size(factor=1.5))
    assert upscaler.target(30, 46) == (45, 69)
    assert upscale_video(upscaler, source, target)["upscaled"] == [70, 46]
    video = stream_of(target)
    assert (video.width, video.height) == (70, 46)
    picture = pictures(target)[0]
    assert np.abs(picture[-1] - picture[-2]).mean() < 0.02


def test_what_is_resampled_is_taken_over_too(tmp_path, doubling):
    source = write_clip(tmp_path / "a.mp4", static_camera(10, 192, 256))
    facts = upscale_video(Upscaler((doubling,), Size(factor=1.5)), source, tmp_path / "b.mp4")
    assert facts["upscaled"] == [384, 288]
    assert facts["reused"] > 0.5


def test_a_frame_that_is_the_last_one_again_costs_nothing(tmp_path, run):
    source = write_clip(
        tmp_path / "a.mkv", [texture(96, 96)] * 10, codec="ffv1", options={"g": "1"}
    )
    facts = run(source, tmp_path / "b.mp4")
    assert facts["reused"] == pytest.approx(0.9)
    assert facts["frames"] == len(frames(tmp_path / "b.mp4")) == 10


def test_webm_is_vp9_with_its_sound(tmp_path, run):
    source = tmp_path / "a.webm"
    options = {"crf": "20", "cpu-used": "8", "deadline": "realtime"}
    write_clip(source, static_camera(5), codec="libvpx-vp9", options=options, sound="libopus")
    facts = run(source, tmp_path / "b.webm")
    assert facts["codec"] == "libvpx-vp9"
    assert packets(tmp_path / "b.webm", "audio") == packets(source, "audio")


def test_a_scene_cut_takes_nothing_over(tmp_path, run):
    source = tmp_path / "a.mkv"
    scenes = [texture(96, 96, seed) for seed in (1, 2)]
    write_clip(source, [scenes[0]] * 3 + [scenes[1]] * 3, codec="ffv1", options={"g": "1"})
    assert run(source, tmp_path / "b.mp4", quality=100)["reused"] == pytest.approx(4 / 6)
    after = cv2.resize(pictures(tmp_path / "b.mp4")[3], (96, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(after - scenes[1]).mean() < 0.01


def test_too_little_memory_is_said_before_work(tmp_path, run):
    source = write_clip(tmp_path / "a.mp4", static_camera(2))
    with pytest.raises(VideoError, match=r"needs about \d+ MiB, 1 MiB are to be used"):
        run(source, tmp_path / "b.mp4", memory=2**20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_what_stops_it_leaves_the_target_as_it_was(tmp_path, doubling):
    source, target = write_clip(tmp_path / "a.mp4", static_camera(25)), tmp_path / "b.mp4"
    target.write_bytes(b"older")
    running = threading.active_count()

    def stop(share):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_video(doubling, source, target, progress=stop)
    assert target.read_bytes() == b"older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    assert threading.active_count() == running


def test_a_suffix_that_cannot_be_written_is_refused(tmp_path, run):
    source = write_clip(tmp_path / "a.mp4", static_camera(2))
    with pytest.raises(VideoError, match=r"b.gif: videos are written as .mp4"):
        run(source, tmp_path / "b.gif")


def test_a_damaged_clip_is_upscaled_as_far_as_it_goes(tmp_path, run):
    source, notes = tmp_path / "a.mkv", []
    write_clip(source, static_camera(40), options={"g": "10"})
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    facts = run(source, tmp_path / "b.mp4", notes)
    assert 10 < facts["frames"] < 40
    assert len(frames(tmp_path / "b.mp4")) == facts["frames"]
    wanted = r"a.mkv: damaged \(it ends after [01]\.\d of 1\.6 s\); what can be decoded is kept$"
    assert len(notes) == 1
    assert re.search(wanted, notes[0])


def test_a_static_camera_saves_most_of_the_work_and_shows_no_less(tmp_path, network):
    source = tmp_path / "a.mp4"
    write_clip(source, static_camera(16, 192, 256), options={"crf": "23"})
    full, saving = tmp_path / "full.mkv", tmp_path / "saving.mkv"
    all_of_it = upscale_video(network, source, full, Settings(threshold=None, quality=100))
    facts = upscale_video(network, source, saving, Settings(quality=100))
    assert all_of_it["reused"] == 0
    assert facts["reused"] > 0.5
    assert facts["cost"] < 0.6 * all_of_it["cost"]
    for wanted, got in zip(pictures(full), pictures(saving), strict=True):
        assert np.mean((wanted - got) ** 2) < 1e-4  # 40 dB, the encoder's losses included
