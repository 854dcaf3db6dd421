"""What lies in a clip beside the pictures: sound, covers, subtitles, attachments."""

from fractions import Fraction

import av
import pytest
from clips import packets, static_camera, write_clip

from mmsr_core.errors import VideoError


def test_sound_is_copied_packet_by_packet(tmp_path, run):
    source = write_clip(tmp_path / "a.mp4", static_camera(25), sound="aac")
    run(source, tmp_path / "b.mp4")
    assert packets(tmp_path / "b.mp4", "audio") == packets(source, "audio")
    run(source, tmp_path / "c.mkv")
    assert [data for _, data in packets(tmp_path / "c.mkv", "audio")] == [
        data for _, data in packets(source, "audio")
    ]


def test_sound_that_a_format_cannot_hold_is_refused_before_work(tmp_path, run):
    source = write_clip(tmp_path / "a.mp4", static_camera(5), sound="aac")
    with pytest.raises(VideoError, match=r"b.webm: .webm can't hold the sound .* choose .mkv"):
        run(source, tmp_path / "b.webm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_cover_stays_one(tmp_path, run):
    plain = write_clip(tmp_path / "plain.mp4", static_camera(5))
    source = tmp_path / "a.mp4"
    with av.open(str(plain)) as given, av.open(str(source), "w") as container:
        video = container.add_stream_from_template(given.streams.video[0])
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux([*cover.encode(av.VideoFrame(64, 64, "yuvj420p")), *cover.encode(None)])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
    facts = run(source, tmp_path / "b.mp4")
    assert facts["frames"] == 5
    with av.open(str(tmp_path / "b.mp4")) as container:
        kinds = [bool(one.disposition & one.disposition.attached_pic) for one in container.streams]
        assert kinds == [False, True]


def test_subtitles_are_kept_where_the_format_can(tmp_path, run):
    source, notes = tmp_path / "a.mkv", []
    plain = write_clip(tmp_path / "plain.mkv", static_camera(25))
    with av.open(str(plain)) as given, av.open(str(source), "w") as container:
        video = container.add_stream_from_template(given.streams.video[0])
        spoken = container.add_mux_stream("subrip", time_base=Fraction(1, 1000))
        line = av.Packet(b"a disc moves")
        line.pts = line.dts = 100
        line.duration, line.time_base, line.stream = 500, Fraction(1, 1000), spoken
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        container.mux(line)
    run(source, tmp_path / "b.mkv", notes)
    assert packets(tmp_path / "b.mkv", "subtitles") == [(Fraction(1, 10), b"a disc moves")]
    assert notes == []
    run(source, tmp_path / "b.mp4", notes)
    assert len(notes) == 1
    assert "can't hold its subtitle" in notes[0]


def test_attachments_are_kept_where_the_format_can(tmp_path, run):
    source, notes = tmp_path / "a.mkv", []
    plain = write_clip(tmp_path / "plain.mkv", static_camera(5))
    with av.open(str(plain)) as given, av.open(str(source), "w") as container:
        video = container.add_stream_from_template(given.streams.video[0])
        container.add_attachment("letters.ttf", "font/ttf", b"a font")
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
    run(source, tmp_path / "b.mkv", notes)
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert [one.data for one in container.streams.attachments] == [b"a font"]
    assert notes == []
    run(source, tmp_path / "b.mp4", notes)
    assert len(notes) == 1
    assert notes[0].endswith("its attachment stream (letters.ttf), which is dropped")
