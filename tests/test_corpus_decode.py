"""Picture files of every sort: what becomes of them, with which note, or with which sentence they are refused."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from smalti.corpus import ImageCorpus
from smalti.corpus.decode import Picture, resized
from smalti.errors import InputError

rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (5, 7), np.uint8)
COLOUR = rng.integers(0, 256, (5, 7, 3), np.uint8)


def read(path: Path, *, size: int | None = None) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Pixels (H, W, C), mode and notes of a file, the note on single pictures left aside."""
    corpus = ImageCorpus.from_file(path, size=size)
    return corpus.images[0], corpus.mode, corpus.notes


def outcome(path: Path, *, size: int | None = None) -> ImageCorpus | str:
    """The corpus of one file, or the sentence it is refused with."""
    try:
        return ImageCorpus.from_file(path, size=size)
    except InputError as error:
        return str(error)


def refused(path: Path) -> str:
    """The sentence a file is refused with, the path cut down to the name."""
    with pytest.raises(InputError) as caught:
        ImageCorpus.from_file(path)
    return str(caught.value).replace(str(path), path.name)


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand: Pillow cannot write 16-bit colours. `colour` is the PNG colour type."""
    row = len(rows) // height if height and rows else 0
    data = b"".join(b"\0" + rows[i * row : (i + 1) * row] for i in range(height)) if rows else b""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(width: int, height: int, *, bits: int, data: bytes) -> bytes:
    """A TIFF of one grey channel written by hand: Pillow cannot write 12 bits."""
    tags = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8 + 2 + 9 * 12 + 4),
        (277, 1),
        (278, height),
        (279, len(data)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0" + data


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".pcx", ".tga", ".webp", ".jp2", ".qoi"])
def test_colours_stored_without_loss_come_back_as_they_are(tmp_path, suffix):
    if not can_save(suffix):
        pytest.skip(f"this Pillow does not write {suffix}")
    path = tmp_path / f"a{suffix}"
    Image.fromarray(COLOUR).save(path, lossless=True) if suffix == ".webp" else Image.fromarray(COLOUR).save(path)
    pixels, mode, notes = read(path)
    assert np.array_equal(pixels, COLOUR)
    assert (mode, notes) == ("RGB", ())


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pgm", ".gif", ".jp2"])
def test_greys_stored_without_loss_come_back_as_they_are(tmp_path, suffix):
    if not can_save(suffix):
        pytest.skip(f"this Pillow does not write {suffix}")
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY).save(path)
    pixels, mode, notes = read(path)
    assert np.array_equal(pixels[..., 0], GREY)
    # A GIF may hold grey as a palette; nothing else may happen to it.
    assert mode == "L"
    assert set(notes) <= {"palette replaced by its colours: 'a.gif'"}


def test_the_mode_of_a_file_is_only_an_encoding(tmp_path):
    grey = Image.fromarray(GREY)
    ids = set()
    for mode, note in {
        "L": None,
        "LA": "alpha channel left out, since it is opaque everywhere",
        "RGB": None,
        "RGBA": "alpha channel left out, since it is opaque everywhere",
        "P": "palette replaced by its colours",
        "I;16": "16-bit values rounded to 8 bits",
    }.items():
        path = tmp_path / f"{mode.replace(';', '')}.png"
        # 257 v is the 16-bit value of the same brightness as v, since 65535 = 257 * 255.
        (Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)).save(path)
        corpus = ImageCorpus.from_file(path)
        assert corpus.mode == "L"
        assert np.array_equal(corpus.images[0, ..., 0], GREY)
        assert corpus.notes == ((f"{note}: '{path.name}'",) if note else ())
        ids.add(corpus.ids)
    assert len(ids) == 1


def test_one_bit_is_black_and_white(tmp_path):
    bits = GREY > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    pixels, mode, notes = read(tmp_path / "a.png")
    assert np.array_equal(pixels[..., 0], bits * 255)
    assert (mode, notes) == ("L", ("black and white (1 bit) stored as 0 and 255: 'a.png'",))


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "a.png", transparency=bytes([255, 128, 0]))
    pixels, mode, notes = read(tmp_path / "a.png")
    assert mode == "RGBA"
    assert pixels.tolist() == [[[10, 20, 30, 255], [40, 50, 60, 128], [0, 0, 0, 0]]]
    assert notes == (
        "colour under fully transparent pixels set to 0: 'a.png'",
        "palette replaced by its colours: 'a.png'",
        "opacity kept as a fourth channel, since 1 of 1 pictures is not opaque everywhere",
    )
    image.save(tmp_path / "a.gif", transparency=1)
    assert read(tmp_path / "a.gif")[0][..., 3].tolist() == [[255, 0, 255]]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_kept_when_something_is_transparent(tmp_path, mode):
    image = Image.fromarray(GREY).convert(mode)
    image.putalpha(Image.fromarray(np.full_like(GREY, 254)))
    image.save(tmp_path / "a.png")
    pixels, kept, _ = read(tmp_path / "a.png")
    assert kept == "RGBA"
    assert (pixels[..., 3] == 254).all()
    assert all(np.array_equal(pixels[..., c], GREY) for c in range(3))


def test_a_colour_declared_transparent_in_a_png_is_transparent(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "rgb.png", transparency=tuple(int(v) for v in COLOUR[0, 0]))
    assert read(tmp_path / "rgb.png")[0][0, 0].tolist() == [0, 0, 0, 0]
    Image.fromarray(GREY).save(tmp_path / "grey.png", transparency=int(GREY[1, 1]))
    pixels, mode, _ = read(tmp_path / "grey.png")
    assert mode == "RGBA"
    assert np.array_equal(pixels[..., 3] == 0, GREY[1, 1] == GREY)
    values = np.array([[0, 1000, 65535]], ">u2")
    deep = png(3, 1, depth=16, colour=0, rows=values.tobytes(), extra=chunk(b"tRNS", struct.pack(">H", 1000)))
    (tmp_path / "deep.png").write_bytes(deep)
    assert read(tmp_path / "deep.png")[0].tolist() == [[[0, 0, 0, 255], [0, 0, 0, 0], [255, 255, 255, 255]]]


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_sixteen_bit_greys_are_rounded_to_the_nearest(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("deep")
    array = np.array([values], np.uint16)
    Image.fromarray(array).save(path / "a.png")
    Image.fromarray(array).save(path / "a.tif")
    (path / "a.pgm").write_bytes(b"P5 %d 1 65535\n" % len(values) + array.astype(">u2").tobytes())
    # v * 255 / 65535 = v / 257, and 257 is odd, so there are no ties.
    nearest = [[(2 * v + 257) // 514] for v in values]
    for name in ("a.png", "a.tif", "a.pgm"):
        pixels, mode, notes = read(path / name)
        assert pixels[0].tolist() == nearest
        assert (mode, notes) == ("L", (f"16-bit values rounded to 8 bits: '{name}'",))


def test_twelve_bit_greys_use_their_own_range(tmp_path):
    # Two 12-bit values a row, packed in three bytes: 0 and 4095, then 2048 and 4095.
    (tmp_path / "a.tif").write_bytes(tiff(2, 2, bits=12, data=bytes([0x00, 0x0F, 0xFF, 0x80, 0x0F, 0xFF])))
    # 2048 * 255 / 4095 = 127.53
    assert read(tmp_path / "a.tif")[0][..., 0].tolist() == [[0, 255], [128, 255]]


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colours_keep_their_upper_byte_with_a_note(tmp_path, colour, channels):
    values = np.arange(2 * channels, dtype=np.uint16) * 4096 + 0x12FF
    (tmp_path / "a.png").write_bytes(png(2, 1, depth=16, colour=colour, rows=values.astype(">u2").tobytes()))
    pixels, _, notes = read(tmp_path / "a.png")
    upper = (values >> 8).reshape(2, channels)
    assert pixels[0, :, -1].tolist() == upper[:, -1].tolist()
    assert pixels[0, :, 0].tolist() == upper[:, 0].tolist()
    assert "16-bit colours cut to their upper 8 bits: 'a.png'" in notes


def test_cmyk_jpeg_is_converted_with_a_note(tmp_path):
    # No ink is white, all inks full are black: both are exact even in a JPEG, being flat.
    for ink, value in ((0, 255), (255, 0)):
        Image.new("CMYK", (16, 16), (ink,) * 4).save(tmp_path / "a.jpg")
        pixels, mode, notes = read(tmp_path / "a.jpg")
        assert (pixels == value).all()
        assert (mode, notes) == ("L", ("converted from CMYK to RGB: 'a.jpg'",))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, suffix, orientation):
    # By the EXIF standard: which edge of the upright picture row 0 and column 0 of the stored one are.
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8], upright[:8, 24:] = 255, 128
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    options = {".jpg": {"quality": 100}, ".webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **options)
    pixels, _, notes = read(path)
    # Flat 8 x 8 blocks have only a constant term, which JPEG at quality 100 stores to within 1.
    assert np.abs(pixels[..., 0].astype(int) - upright).max() <= (1 if suffix == ".jpg" else 0)
    assert notes == ((f"turned upright as its EXIF orientation says: 'a{suffix}'",) if orientation > 1 else ())


@pytest.mark.parametrize(
    "exif", [b"", b"junk", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 9]
)
def test_a_damaged_exif_block_leaves_the_picture_readable(tmp_path, exif):
    Image.fromarray(COLOUR).save(tmp_path / "a.webp", lossless=True, exif=exif)
    assert np.array_equal(read(tmp_path / "a.webp")[0], COLOUR)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_only_the_first_frame_of_several_is_read(tmp_path, suffix):
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (10, 200, 90)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    pixels, _, notes = read(tmp_path / f"a{suffix}")
    assert (pixels == 10).all()
    assert f"only the first of several frames or pages read: 'a{suffix}'" in notes


def test_colour_profiles_are_named_unless_they_are_srgb(tmp_path):
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLOUR).save(tmp_path / "a.png", icc_profile=srgb)
    assert read(tmp_path / "a.png")[2] == ()
    Image.fromarray(COLOUR).save(
        tmp_path / "b.png", icc_profile=srgb.replace("sRGB".encode("utf-16-be"), b"x" * 8).replace(b"sRGB", b"xxxx")
    )
    pixels, _, notes = read(tmp_path / "b.png")
    assert notes == ("colour profile other than sRGB not applied: 'b.png'",)
    assert np.array_equal(pixels, COLOUR)


@pytest.mark.parametrize(
    ("image", "holds"),
    [
        (Image.new("F", (3, 3), 0.5), "floating-point values"),
        (Image.new("I", (3, 3), 7), "32-bit whole numbers"),
        (Image.new("LAB", (3, 3)), "CIELAB colours"),
    ],
)
def test_values_without_black_and_white_are_refused(tmp_path, image, holds):
    image.save(tmp_path / "a.tif")
    assert refused(tmp_path / "a.tif") == (
        f"'a.tif' holds {holds}, which have no defined black and white: save it as an 8-bit or 16-bit picture."
    )


def test_files_that_are_no_picture_are_refused(tmp_path):
    for content in (
        b"dear diary",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\0" * 5000,
        bytes(range(256)) * 9,
    ):
        (tmp_path / "a.png").write_bytes(content)
        assert refused(tmp_path / "a.png") == (
            "'a.png' cannot be read as a picture: convert it to PNG or JPEG if it is one, otherwise take it out of "
            "the folder."
        )
    (tmp_path / "a.png").write_bytes(b"")
    assert refused(tmp_path / "a.png") == "'a.png' is empty (0 bytes): replace it by a picture, or take it out."


def test_paths_that_are_no_file_are_refused(tmp_path):
    assert refused(tmp_path / "no.png") == "'no.png' does not exist: check the path, or remove the link."
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    assert refused(tmp_path / "link.png") == (
        "'link.png' is a link to a file that does not exist: check the path, or remove the link."
    )
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    assert refused(tmp_path / "round.png").startswith("'round.png' cannot be opened (")
    (tmp_path / "folder").mkdir()
    assert refused(tmp_path / "folder") == "'folder' is not a regular file: give a picture file."


def can_save(suffix: str) -> bool:
    """Whether this Pillow writes the format (older ones lack QOI and AVIF, and some builds lack a library)."""
    Image.init()
    return Image.EXTENSION.get(suffix) in Image.SAVE and (suffix != ".jp2" or bool(features.check("jpg_2000")))


def save_all(folder: Path) -> list[Path]:
    """The same picture in every format, large enough to be cut in the middle of its pixels."""
    ramp = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8)
    image = Image.fromarray(np.stack([ramp * 3, 255 - ramp, ramp], axis=-1) + rng.integers(0, 9, (24, 32, 3), np.uint8))
    files = []
    names = ["png", "jpg", "gif", "bmp", "tif", "ppm", "webp", "qoi", "tga", "pcx", "ico", "avif", "jp2"]
    for suffix in (f".{name}" for name in names):
        if can_save(suffix):
            files.append(folder / f"a{suffix}")
            image.save(files[-1])
    image.save(folder / "lzw.tif", compression="tiff_lzw")
    image.save(folder / "progressive.jpg", progressive=True)
    return [*files, folder / "lzw.tif", folder / "progressive.jpg"]


def test_a_file_cut_short_is_refused_unless_all_pixels_are_there(tmp_path):
    for path in save_all(tmp_path):
        whole, pixels = path.read_bytes(), read(path)[0]
        if path.suffix == ".jp2":
            # A JPEG 2000 stream cut between two layers is, by design of the format, a whole but coarser picture.
            continue
        refusals = 0
        for length in {*range(1, len(whole), len(whole) // 40), *range(len(whole) - 12, len(whole))}:
            path.write_bytes(whole[:length])
            left = outcome(path)
            if isinstance(left, str):
                assert left.replace(str(path), path.name) in (
                    f"'{path.name}' is damaged or cut short, and cannot be decoded: replace it, or take it out.",
                    f"'{path.name}' cannot be read as a picture: convert it to PNG or JPEG if it is one, "
                    "otherwise take it out of the folder.",
                )
                refusals += 1
            else:
                assert np.array_equal(left.images[0], pixels)
        assert refusals >= 30


def test_any_damage_gives_a_picture_or_a_sentence_and_nothing_else(tmp_path, capfd, caplog):
    files = {path: path.read_bytes() for path in save_all(tmp_path)}
    random = np.random.default_rng(1)
    for path, whole in files.items():
        for trial in range(40):
            broken = bytearray(whole)
            if trial % 2:
                broken = broken[: random.integers(1, len(whole))]
            # Early bytes are headers, where damage is most varied.
            for place in random.integers(0, min(len(broken), 300), random.integers(1, 4)):
                broken[place] = random.integers(0, 256)
            path.write_bytes(broken)
            result = outcome(path, size=8)
            if isinstance(result, str):
                assert path.name in result
                assert result.endswith(".")
                assert "\n" not in result
            else:
                assert result.images.shape[:3] == (1, 8, 8)
        # libtiff writes to the error stream of the process by itself, which no caller of Pillow can turn off.
        assert capfd.readouterr() == ("", "") or path.suffix == ".tif"
    assert not caplog.records


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path):
    # 10,001 x 10,000 pixels are claimed and none is there: had decoding begun, the file would be called cut short.
    (tmp_path / "a.png").write_bytes(png(10_001, 10_000, depth=8, colour=0, rows=b""))
    assert refused(tmp_path / "a.png") == (
        "'a.png' claims 100,010,000 pixels, more than the 100,000,000 pixels a picture may have: make it smaller first."
    )
    # Far larger ones are stopped by Pillow itself, which tells no number.
    (tmp_path / "b.png").write_bytes(png(2**31 - 1, 2**31 - 1, depth=8, colour=6, rows=b""))
    assert refused(tmp_path / "b.png") == (
        "'b.png' claims far more than the 100,000,000 pixels a picture may have: make it smaller first."
    )


def test_warnings_of_the_decoder_stay_inside(tmp_path, capfd, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Image.open(tmp_path / "a.png"):
            pass
        assert len(caught) == 1, "Pillow itself warns of this file"
        ImageCorpus.from_file(tmp_path / "a.png")
        ImageCorpus.from_folder(tmp_path)
        assert len(caught) == 1
    assert capfd.readouterr() == ("", "")


def test_reducing_a_large_picture_stays_close_to_the_plain_filter(tmp_path):
    # Box reduction comes first only from six times on. A ramp has the same averages either way, away from the border,
    # up to half a unit of rounding in each of the two passes and in the reduction.
    ramp = np.broadcast_to((np.arange(256) // 2 + 40).astype(np.uint8), (256, 256))[..., None]
    small = resized(Picture(pixels=ramp, conversions=()), (16, 16)).pixels[8, 3:13, 0]
    centres = np.arange(3, 13) * 16 + 7.5
    assert np.abs(small - (centres / 2 - 0.25 + 40)).max() <= 1.5


def test_pixels_are_the_same_from_a_stream_of_any_name(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, "PNG")
    for name in ("a.png", "a.jpg", "a", "ä b.png"):
        (tmp_path / name).write_bytes(buffer.getvalue())
        pixels, _, notes = read(tmp_path / name)
        assert np.array_equal(pixels, COLOUR)
        assert notes == ()


def test_a_png_with_any_byte_of_its_pixels_changed_is_refused(tmp_path: Path) -> None:
    """PNG guards its chunks by checksums; asking for EXIF data must not load the picture past them."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    begin, end = whole.index(b"IDAT") + 4, whole.index(b"IEND") - 8
    for place in range(begin, end, 37):
        (tmp_path / "a.png").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match="damaged or cut short"):
            ImageCorpus.from_file(tmp_path / "a.png")
