#!/usr/bin/env python3
"""Compares a decoder of image files with PIL, on files that this script generates.

Usage: images.py compare DECODER [--keep DIR] [--jpegs N]
                                                 count the files that DECODER and PIL read alike, with N more
                                                 JPEGs of random sampling factors, intact and damaged
       images.py sample FILE.safetensors         write every eighth file with what PIL makes of it
       images.py write DIR                       write the corpus into a folder

DECODER is the example program `decode` of the crate torchmill:
    scripts/build -p torchmill --example decode
    parity/images.py compare target/release/examples/decode

Needs Pillow 13.0.0, numpy and tifffile 2025.5.10, and for `sample` safetensors. Where cjpeg (Debian's
libjpeg-turbo-progs) is installed, files with its sampling factors, arithmetic coding and lossless coding are included.
"""
import argparse
import hashlib
import io
import itertools
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib

import numpy as np
import PIL
from PIL import Image

warnings.simplefilter("ignore")
random = np.random.default_rng(0)
FORMATS = ["jpg", "png", "gif", "webp", "bmp", "tif", "pnm"]


def scene(width, height, channels=3):
    """Waves with noise, so that all frequencies occur: uint8 of [height, width, channels]."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 5 + k) + np.cos(y / (4 + k)) for k in range(channels)]
    values = 127 + 55 * np.stack(waves, -1) + random.normal(0, 12, (height, width, channels))
    return values.clip(0, 255).astype(np.uint8)


def picture(mode, width, height):
    return Image.fromarray(scene(width, height)).convert(mode)


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def mutations(name, content, count):
    """Copies that have damaged bytes, are truncated, or have bytes inserted or removed."""
    for number in range(count):
        damaged = bytearray(content)
        kind = number % 6
        at = int(random.integers(0, len(content)))
        if kind == 0:
            del damaged[at:]
        elif kind == 1:
            damaged[at:at] = random.bytes(int(random.integers(1, 9)))
        elif kind == 2:
            del damaged[at : at + int(random.integers(1, 9))]
        else:
            # Damage in the header has the most effect.
            most = len(content) if kind == 3 else min(len(content), 200)
            for _ in range(int(random.integers(1, 4))):
                damaged[int(random.integers(0, most))] = int(random.integers(0, 256))
        yield f"{name}-damaged-{number}", bytes(damaged)


# JPEG -----------------------------------------------------------------------------------------------------


def segment(marker, content, length=None):
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2 if length is None else length) + content


ADOBE = [segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])) for transform in range(3)]


def with_ids(content, ids):
    """A JPEG with other component IDs."""
    content = bytearray(content)
    frame = next(content.index(b"\xff" + bytes([code])) for code in (0xC0, 0xC1, 0xC2) if b"\xff" + bytes([code]) in content)
    for k, id in enumerate(ids):
        content[frame + 10 + 3 * k] = id
    at = content.index(b"\xff\xda")
    while at >= 0:
        for k in range(content[at + 4]):
            content[at + 5 + 2 * k] = ids[content[at + 5 + 2 * k] - 1]
        at = content.find(b"\xff\xda", at + 2)
    return bytes(content)


def without_jfif(content):
    return content[:2] + content[20:]


def jpegs():
    sizes = [(1, 1), (8, 8), (17, 9), (33, 31), (45, 35)]
    for mode, (width, height), subsampling, progressive in itertools.product(
        ["RGB", "L", "CMYK"], sizes, ["4:4:4", "4:2:2", "4:2:0"], [False, True]
    ):
        quality = int(random.integers(5, 100))
        restart = int(random.integers(0, 3))
        content = saved(
            picture(mode, width, height), "JPEG", quality=quality, subsampling=subsampling,
            progressive=progressive, restart_marker_blocks=restart,
        )
        yield f"pillow-{mode}-{width}x{height}-{subsampling}-{progressive}", content
    for subsampling, progressive, width in itertools.product(["4:4:4", "4:2:0"], [False, True], [16, 23]):
        image = picture("RGB", width, 19)
        plain = saved(image, "JPEG", subsampling=subsampling, progressive=progressive)
        rgb = saved(image, "JPEG", keep_rgb=True, subsampling="4:4:4", progressive=progressive)
        name = f"{subsampling}-{progressive}-{width}"
        yield f"keep-rgb-{name}", rgb
        yield f"bare-{name}", without_jfif(plain)
        for transform, adobe in enumerate(ADOBE):
            yield f"jfif-adobe-{transform}-{name}", plain[:20] + adobe + plain[20:]
            yield f"adobe-{transform}-{name}", plain[:2] + adobe + plain[20:]
        for ids in ["RGB", "rgb", "\1\2\3", "\0\1\2", "\1\42\3"]:
            renamed = with_ids(plain, ids.encode())
            yield f"ids-{ids.encode().hex()}-{name}", renamed
            yield f"bare-ids-{ids.encode().hex()}-{name}", without_jfif(renamed)
        if b"Adobe" in rgb:
            at = rgb.index(b"\xff\xee")
            yield f"rgb-without-adobe-{name}", rgb[:at] + rgb[at + 16 :]
        ycck = saved(picture("CMYK", width, 21), "JPEG", subsampling=subsampling, progressive=progressive)
        at = ycck.index(b"Adobe")
        for transform in range(4):
            yield f"ycck-{transform}-{name}", ycck[: at + 11] + bytes([transform]) + ycck[at + 12 :]
        yield f"cmyk-without-adobe-{name}", ycck[: at - 4] + ycck[at + 12 :]
    yield from jpeg_segments()
    yield from cjpegs()
    for number, (subsampling, progressive, restart) in enumerate(
        itertools.product(["4:4:4", "4:2:0", "4:2:2"], [False, True], [0, 1])
    ):
        image = picture("RGB", 40 + number, 30)
        content = saved(image, "JPEG", subsampling=subsampling, progressive=progressive, restart_marker_blocks=restart)
        yield from mutations(f"seed-{number}", content, 36)


def jpeg_segments():
    """Segments that are unusual, missing, in another order, or have a wrong length."""
    image = picture("RGB", 40, 30)
    plain = saved(image, "JPEG")
    frame, scan = plain.index(b"\xff\xc0"), plain.index(b"\xff\xda")
    thumbnail = saved(picture("RGB", 8, 8), "JPEG")
    exif = segment(0xE1, b"Exif\0\0" + thumbnail)
    extras = {
        "thumbnail": exif, "two-exif": exif * 2, "comment": segment(0xFE, b"x" * 50), "fill": b"\xff\xff\xff",
        "stray": b"abc", "stray-ff00": b"\xff\0\xff\0", "stray-marker": b"\xff\x01", "stray-rst": b"\xff\xd3",
        "short-jfif": segment(0xE0, b"JFIF\0"), "short-adobe": segment(0xEE, b"Adobe\0"), "empty-app": segment(0xE5, b""),
        "zero-length": segment(0xE5, b"", 0), "one-length": segment(0xE5, b"", 1), "long": segment(0xE5, b"ab", 900),
        "beyond": segment(0xE5, b"ab", 65535), "icc": segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(40)),
        "short-icc": segment(0xE2, b"ICC_PROFILE\0"), "dqt-short": segment(0xDB, b"\0" * 40), "dqt-16": segment(0xDB, b"\x13" + bytes(128)),
        "photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\4abcd"),
        "photoshop-short": segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04"), "photoshop-cut": segment(0xED, b"Photoshop 3.0\x008BIM"),
        "mpf": segment(0xE2, b"MPF\0II*\0\x08\0\0\0"), "dri": segment(0xDD, b"\0\4"), "dri-odd": segment(0xDD, b"\0\4\0"),
        "soi": b"\xff\xd8", "eoi": b"\xff\xd9", "dnl": segment(0xDC, b"\0\x1e"), "dac": segment(0xCC, b"\0\x10"), "jpg": b"\xff\xc8", "dhp": segment(0xDE, plain[frame + 4 : frame + 19]),
        "second-frame": plain[frame : frame + 19], "tables-only": plain[2:scan] + b"\xff\xd9\xff\xd8",
        "jpg7": b"\xff\xf7", "jpg7-segment": segment(0xF7, b"abcd"),
    }
    for name, extra in extras.items():
        yield f"after-jfif-{name}", plain[:20] + extra + plain[20:]
        yield f"before-frame-{name}", plain[:frame] + extra + plain[frame:]
        yield f"before-scan-{name}", plain[:scan] + extra + plain[scan:]
        yield f"at-end-{name}", plain[:-2] + extra + plain[-2:]
        yield f"after-end-{name}", plain + extra
    for cut in [3, 10, 100, frame + 5, frame + 12, scan + 3, scan + 12, scan + 60, len(plain) // 2, len(plain) - 40, len(plain) - 2, len(plain) - 1]:
        yield f"cut-{cut}", plain[:cut]
        yield f"cut-and-ended-{cut}", plain[:cut] + b"\xff\xd9"
        yield f"cut-with-thumbnail-{cut}", (plain[:20] + exif + plain[20:])[: cut + len(exif)]
        yield f"cut-and-continued-{cut}", plain[:cut] + plain
    for precision in [1, 7, 9, 12, 16]:
        yield f"precision-{precision}", plain[: frame + 4] + bytes([precision]) + plain[frame + 5 :]
    for width, height in [(0, 30), (40, 0), (41, 30), (400, 300), (40, 31), (40, 60), (65535, 65535), (1, 1), (39, 29)]:
        yield f"size-{width}x{height}", plain[: frame + 5] + struct.pack(">HH", height, width) + plain[frame + 9 :]
    for code in [0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF]:
        yield f"frame-{code:x}", plain[: frame + 1] + bytes([code]) + plain[frame + 2 :]
    for count in [0, 1, 2, 4, 5]:
        components = (plain[frame + 10 : frame + 19] * 2)[: 3 * count]
        header = plain[frame + 4 : frame + 9] + bytes([count]) + components
        yield f"components-{count}", plain[:frame] + segment(0xC0, header) + plain[frame + 19 :]
    for marker in [0xDB, 0xC4, 0xE0, 0xC0, 0xDA]:
        at = plain.index(b"\xff" + bytes([marker]))
        length = struct.unpack(">H", plain[at + 2 : at + 4])[0] + 2
        yield f"without-{marker:x}", plain[:at] + plain[at + length :]
        yield f"twice-{marker:x}", plain[: at + length] + plain[at:]
        for change in [-3, -1, 1, 3]:
            yield f"length-{marker:x}-{change}", plain[: at + 2] + struct.pack(">H", length - 2 + change) + plain[at + 4 :]
    progressive = saved(image, "JPEG", progressive=True)
    scans = [k for k in range(len(progressive) - 1) if progressive[k : k + 2] == b"\xff\xda"]
    for number, at in enumerate(scans):
        yield f"scans-{number}", progressive[:at] + b"\xff\xd9"
        end = scans[number + 1] if number + 1 < len(scans) else len(progressive) - 2
        yield f"without-scan-{number}", progressive[:at] + progressive[end:]
    restarts = saved(image, "JPEG", restart_marker_blocks=1)
    markers = [k for k in range(restarts.index(b"\xff\xda"), len(restarts) - 1) if restarts[k] == 0xFF and 0xD0 <= restarts[k + 1] <= 0xD7]
    for number, at in enumerate(markers[:8]):
        yield f"without-restart-{number}", restarts[:at] + restarts[at + 2 :]
        yield f"other-restart-{number}", restarts[: at + 1] + bytes([0xD0 + (restarts[at + 1] + 3) % 8]) + restarts[at + 2 :]
        yield f"damaged-restart-{number}", restarts[: at - 3] + b"\0" + restarts[at - 2 :]


def cjpegs():
    """JPEGs that libjpeg-turbo can write but Pillow cannot."""
    if not shutil.which("cjpeg"):
        print("images.py: cjpeg is not installed: its files are left out", file=sys.stderr)
        return
    factors = list(itertools.product(range(1, 5), range(1, 5)))
    for number in range(330):
        width, height = (int(n) for n in random.integers(1, 50, 2))
        image = saved(Image.fromarray(scene(width, height)), "PPM")
        chosen = [factors[int(k)] for k in random.integers(0, len(factors), 3)]
        if number % 3:
            chosen = [(min(h, 2), min(v, 2)) for h, v in chosen]
        options = ["-quality", str(int(random.integers(20, 96))), "-sample", ",".join(f"{h}x{v}" for h, v in chosen)]
        options += [[], ["-progressive"], ["-arithmetic"], ["-arithmetic", "-progressive"], ["-restart", "1"], ["-restart", "3B"], ["-rgb"], ["-optimize"]][number % 8]
        done = subprocess.run(["cjpeg", *options], input=image, capture_output=True)
        if done.returncode == 0:
            yield f"cjpeg-{number}", done.stdout
    image = saved(Image.fromarray(scene(21, 17)), "PPM")
    for number, options in enumerate([["-grayscale", "-arithmetic"], ["-lossless", "1"], ["-lossless", "5,2"], ["-precision", "12"], ["-grayscale", "-sample", "2x2"], ["-grayscale", "-progressive"], ["-smooth", "30"], ["-dct", "float"], ["-baseline", "-quality", "1"]]):
        done = subprocess.run(["cjpeg", *options], input=image, capture_output=True)
        if done.returncode == 0:
            yield f"cjpeg-option-{number}", done.stdout


def more_jpegs(count):
    """JPEGs with random sizes, sampling factors, codings and colour spaces: one intact, three truncated or damaged."""
    chosen = np.random.default_rng(1)
    codings = [[], ["-progressive"], ["-arithmetic"], ["-arithmetic", "-progressive"], ["-restart", "1"], ["-restart", "2B"],
               ["-rgb"], ["-optimize"], ["-grayscale"], ["-progressive", "-restart", "1"]]
    made = 0
    while made < count:
        width, height = (int(n) for n in chosen.integers(1, 70, 2))
        image = saved(Image.fromarray(scene(width, height)), "PPM")
        largest = int(chosen.integers(1, 5))
        factors = chosen.integers(1, largest + 1, (3, 2))
        options = ["-quality", str(int(chosen.integers(1, 101))), "-sample", ",".join(f"{h}x{v}" for h, v in factors)]
        options += codings[int(chosen.integers(len(codings)))]
        done = subprocess.run(["cjpeg", *options], input=image, capture_output=True)
        if done.returncode:
            continue
        name = f"more-{made}"
        yield name, done.stdout
        cut = int(chosen.integers(2, len(done.stdout)))
        yield f"{name}-cut", done.stdout[:cut]
        yield f"{name}-ended", done.stdout[:cut] + b"\xff\xd9"
        damaged = bytearray(done.stdout)
        damaged[int(chosen.integers(2, len(damaged)))] = int(chosen.integers(256))
        yield f"{name}-damaged", bytes(damaged)
        made += 4


# PNG ------------------------------------------------------------------------------------------------------


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, colour, depth, extra=b"", interlaced=False, data=None):
    """A PNG of random samples, its rows unfiltered or filtered at random."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for left, top, across, down in passes:
        columns = max(0, -(-(width - left) // across))
        for _ in range(top, height, down) if columns else []:
            length = -(-columns * channels * depth // 8)
            rows += bytes([int(random.integers(0, 5))]) + random.bytes(length)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced)))
    image = chunk(b"IDAT", zlib.compress(rows if data is None else data))
    return b"\x89PNG\r\n\x1a\n" + header + extra + image + chunk(b"IEND", b"")


def pngs():
    palette = chunk(b"PLTE", random.bytes(256 * 3))
    small_palette = chunk(b"PLTE", random.bytes(5 * 3))
    kinds = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]
    for (colour, depth), interlaced in itertools.product(kinds, [False, True]):
        name = f"{colour}-{depth}-{interlaced}"
        extra = palette[:0] if colour != 3 else palette
        if colour == 3 and depth < 8:
            extra = chunk(b"PLTE", random.bytes(3 << depth))
        yield f"plain-{name}", png(13, 9, colour, depth, extra, interlaced)
        yield f"one-{name}", png(1, 1, colour, depth, extra, interlaced)
        clear = {0: b"\0\1", 2: b"\0\1\0\2\0\3", 3: b"\0\x80\xff"}.get(colour)
        if clear:
            yield f"transparent-{name}", png(13, 9, colour, depth, extra + chunk(b"tRNS", clear), interlaced)
        yield f"gamma-{name}", png(13, 9, colour, depth, chunk(b"gAMA", struct.pack(">I", 45455)) + extra, interlaced)
    yield "short-palette", png(13, 9, 3, 8, small_palette)
    yield "no-palette", png(13, 9, 3, 8)
    yield "palette-in-rgb", png(13, 9, 2, 8, small_palette)
    yield "profile", png(13, 9, 2, 8, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(3000))))
    yield "large-profile", png(13, 9, 2, 8, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(80_000_000))))
    yield "large-text", png(13, 9, 2, 8, chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(80_000_000))))
    yield "bad-profile", png(13, 9, 2, 8, chunk(b"iCCP", b"x\0\0abc"))
    yield "unknown-chunk", png(13, 9, 2, 8, chunk(b"abCd", b"abc"))
    yield "critical-chunk", png(13, 9, 2, 8, chunk(b"ABCD", b"abc"))
    yield "short-data", png(13, 9, 2, 8, data=b"\0" + bytes(39) + b"\0")
    yield "long-data", png(13, 9, 2, 8, data=(b"\0" + bytes(39)) * 12)
    yield "filter-7", png(13, 9, 2, 8, data=(b"\7" + bytes(39)) * 9)
    yield "apng", png(13, 9, 2, 8, chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 13, 9, 0, 0, 1, 1, 0, 0)))
    for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]:
        image = Image.new("I;16", (9, 7), 700) if mode == "I;16" else picture("RGBA" if mode == "LA" else "RGB", 21, 13).convert(mode)
        content = saved(image, "PNG")
        yield f"pillow-{mode}", content
        yield from mutations(f"seed-{mode}", content, 36)


# GIF ------------------------------------------------------------------------------------------------------


def gif(screen, frames, colours=4, background=0, version=b"GIF89a"):
    """frames: of (left, top, width, height, transparent index or None, flags of the image descriptor)."""
    bits_of = lambda data: bytes(sum(data[i + k] << k for k in range(8)) for i in range(0, len(data), 8))
    out = version + struct.pack("<HHBBB", *screen, 0x80 | 0x10 | 1 if colours else 0, background, 0)
    out += random.bytes(3 * colours)
    for left, top, width, height, transparent, flags in frames:
        if transparent is not None:
            out += b"\x21\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
        bits = []
        put = lambda code: bits.extend((code >> k) & 1 for k in range(3))
        put(4)
        for i, colour in enumerate(random.integers(0, 4, width * height)):
            put(int(colour))
            if i % 2:
                put(4)
        put(5)
        bits += [0] * (-len(bits) % 8)
        data = bits_of(bits)
        local = random.bytes(12) if flags & 0x80 else b""
        blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
        out += b"\x2c" + struct.pack("<HHHHB", left, top, width, height, flags) + local + b"\x02" + blocks + b"\0"
    return out + b";"


def gifs():
    frames = {
        "whole": (0, 0, 20, 16), "small": (5, 6, 8, 7), "right": (12, 3, 8, 7), "beyond": (15, 10, 12, 9), "outside": (25, 20, 4, 4),
        "larger": (0, 0, 30, 24), "empty": (0, 0, 0, 0), "left": (0, 4, 8, 8),
    }
    for (name, place), transparent, flags in itertools.product(frames.items(), [None, 1], [0, 0x81, 0x40]):
        yield f"{name}-{transparent}-{flags}", gif((20, 16), [(*place, transparent, flags)], background=2)
        yield f"two-{name}-{transparent}-{flags}", gif((20, 16), [(*place, transparent, flags), (2, 2, 5, 5, 0, 0)])
    yield "no-screen", gif((0, 0), [(0, 0, 8, 8, None, 0)])
    yield "no-palette", gif((20, 16), [(0, 0, 20, 16, None, 0)], colours=0)
    yield "no-palette-transparent", gif((20, 16), [(3, 0, 10, 16, 1, 0)], colours=0)
    yield "87", gif((20, 16), [(3, 0, 10, 16, None, 0)], version=b"GIF87a")
    yield "88", gif((20, 16), [(3, 0, 10, 16, None, 0)], version=b"GIF88a")
    yield "no-frame", gif((20, 16), [])
    for mode in ["P", "L", "1", "RGBA"]:
        content = saved(picture(mode, 31, 23), "GIF")
        yield f"pillow-{mode}", content
        yield from mutations(f"seed-{mode}", content, 36)
    animation = saved(picture("P", 31, 23), "GIF", save_all=True, append_images=[picture("P", 31, 23)], transparency=0)
    yield "animation", animation
    yield from mutations("seed-frame", gif((20, 16), [(5, 6, 8, 7, 1, 0)]), 60)


# WebP -----------------------------------------------------------------------------------------------------


def webps():
    for mode, lossless, (width, height) in itertools.product(["RGB", "RGBA"], [False, True], [(1, 1), (16, 16), (45, 33)]):
        image = picture("RGB", width, height)
        if mode == "RGBA":
            image.putalpha(Image.fromarray(scene(width, height, 1)[..., 0]))
        for exact in [False, True]:
            content = saved(image, "WEBP", lossless=lossless, exact=exact, quality=int(random.integers(20, 95)))
            yield f"{mode}-{lossless}-{width}x{height}-{exact}", content
            yield f"after-{mode}-{lossless}-{width}x{height}-{exact}", content + b"more bytes"
            yield from mutations(f"seed-{mode}-{lossless}-{width}-{exact}", content, 12)
        yield f"described-{mode}-{lossless}-{width}x{height}", saved(image, "WEBP", lossless=lossless, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0", icc_profile=bytes(200))
    for lossless, background in itertools.product([False, True], [(0, 0, 0, 0), (255, 100, 50, 255), (10, 200, 30, 128)]):
        frames = [picture("RGB", 40, 30) for _ in range(3)]
        for frame in frames:
            frame.putalpha(Image.fromarray(scene(40, 30, 1)[..., 0]))
        content = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=lossless, background=background)
        yield f"animation-{lossless}-{background[3]}-{background[0]}", content
        yield from mutations(f"seed-animation-{lossless}-{background[0]}", content, 18)


# BMP ------------------------------------------------------------------------------------------------------


def bmp(width, height, bits, *, data=None, compression=0, masks=(), palette=None, header=40, offset=None, colours=0, size=None):
    """A BMP with this header length; random pixels unless `data`."""
    row = (abs(width) * bits + 31) // 32 * 4
    if data is None:
        data = random.bytes(row * abs(height))
    if palette is None:
        palette = random.bytes((3 if header == 12 else 4) << bits) if bits <= 8 else b""
    if header == 12:
        about = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        about = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(data), 2835, 2835, colours, 0)
        fields = b"".join(struct.pack("<I", mask) for mask in masks)
        about = (about + (fields if header > 40 else b"")).ljust(header, b"\0")[:header]
        if header == 40:
            about += fields
    start = 14 + len(about) + len(palette)
    total = start + len(data) if size is None else size
    return b"BM" + struct.pack("<IHHI", total, 0, 0, start if offset is None else offset) + about + palette + data


def bmps():
    for header, bits, (width, height) in itertools.product([12, 40, 52, 56, 64, 108, 124], [1, 2, 4, 8, 16, 24, 32], [(9, 7), (16, 4), (1, 1)]):
        yield f"{header}-{bits}-{width}x{height}", bmp(width, height, bits, header=header)
    for bits in [1, 4, 8, 24, 32]:
        yield f"top-down-{bits}", bmp(9, -7, bits)
        yield f"negative-width-{bits}", bmp(-9, 7, bits)
    masks = {
        "555": (0x7C00, 0x3E0, 0x1F), "565": (0xF800, 0x7E0, 0x1F), "5551": (0x7C00, 0x3E0, 0x1F, 0x8000), "444": (0xF00, 0xF0, 0xF), "4444": (0xF00, 0xF0, 0xF, 0xF000), "bgr565": (0x1F, 0x7E0, 0xF800), "zero": (0, 0, 0),
    }
    wide = {
        "xrgb": (0xFF0000, 0xFF00, 0xFF), "argb": (0xFF0000, 0xFF00, 0xFF, 0xFF000000), "bgra": (0xFF, 0xFF00, 0xFF0000, 0xFF000000), "rgba": (0xFF000000, 0xFF0000, 0xFF00, 0xFF), "xbgr": (0xFF, 0xFF00, 0xFF0000), "rgbx": (0xFF000000, 0xFF0000, 0xFF00), "bgrx": (0xFF00, 0xFF0000, 0xFF000000), "101010": (0x3FF00000, 0xFFC00, 0x3FF), "zero": (0, 0, 0, 0),
    }
    for header, compression in itertools.product([40, 52, 56, 108, 124], [3, 6, 0]):
        for name, mask in masks.items():
            yield f"16-{name}-{header}-{compression}", bmp(9, 7, 16, masks=mask, header=header, compression=compression)
        for name, mask in wide.items():
            yield f"32-{name}-{header}-{compression}", bmp(9, 7, 32, masks=mask, header=header, compression=compression)
        yield f"24-{header}-{compression}", bmp(9, 7, 24, masks=(0xFF0000, 0xFF00, 0xFF), header=header, compression=compression)
    runs8 = {
        "runs": b"\x09\x01\0\0" * 7 + b"\0\1", "literal": b"\0\x09abcdefghi\0\0\0" * 7 + b"\0\1", "delta": b"\x03\5\0\2\4\2\x02\7\0\0\x09\1\0\1", "early": b"\x04\1\0\1",
        "no-end": b"\x09\1" * 7, "long-run": b"\xff\1\0\1", "line-ends": b"\0\0" * 7 + b"\0\1", "short-lines": b"\x03\1\0\0" * 7 + b"\0\1", "cut": b"\x09\1\0\x09abc", "delta-far": b"\0\2\xff\xff\0\1", "past-end": b"\x09\1\0\0" * 20, "delta-end": b"\x09\1\0\2",
    }
    for name, data in runs8.items():
        for header in [40, 64, 108]:
            yield f"rle8-{name}-{header}", bmp(9, 7, 8, data=data, compression=1, header=header)
            yield f"rle4-{name}-{header}", bmp(9, 7, 4, data=data, compression=2, header=header)
        yield f"rle8-down-{name}", bmp(9, -7, 8, data=data, compression=1)
    for change in [-20, -4, -1, 1, 4, 20, 4000]:
        for bits in [8, 24]:
            start = 54 + (1024 if bits == 8 else 0)
            yield f"offset-{bits}-{change}", bmp(9, 7, bits, offset=start + change)
    for colours in [1, 2, 5, 255, 256, 257, 70000]:
        yield f"colours-8-{colours}", bmp(9, 7, 8, colours=colours, palette=random.bytes(4 * min(colours, 256)))
        yield f"colours-24-{colours}", bmp(9, 7, 24, colours=colours)
    grey = bytes(itertools.chain.from_iterable((k, k, k, 0) for k in range(256)))
    yield "grey", bmp(9, 7, 8, palette=grey)
    yield "two-colours", bmp(9, 7, 1, palette=b"\0\0\0\0\xff\xff\xff\0")
    yield "two-colours-inverted", bmp(9, 7, 1, palette=b"\xff\xff\xff\0\0\0\0\0")
    for compression in [4, 5, 11]:
        yield f"compression-{compression}", bmp(9, 7, 24, compression=compression)
    for mode in ["1", "L", "P", "RGB", "RGBA"]:
        content = saved(picture(mode, 21, 13), "BMP")
        yield f"pillow-{mode}", content
        yield f"cut-{mode}", content[:-30]
        yield from mutations(f"seed-{mode}", content, 30)
    yield from mutations("seed-rle8", bmp(9, 7, 8, data=runs8["literal"], compression=1), 30)


# TIFF -----------------------------------------------------------------------------------------------------

SHORT, LONG, LONG8 = 3, 4, 16


def tiff(tags, data, order="<", big=False):
    """A TIFF of one directory; `tags` is {tag: (type, values)}, `data` the strips or tiles (tags 273/279 or 324/325)."""
    sizes = {SHORT: "H", LONG: "I", LONG8: "Q", 6: "b", 7: "B", 1: "B", 5: "I"}
    tags = dict(tags)
    places, counts = (324, 325) if 322 in tags else (273, 279)
    at = 16 if big else 8
    offsets = []
    for part in data:
        offsets.append(at)
        at += len(part)
    tags.setdefault(places, (LONG, offsets))
    tags.setdefault(counts, (LONG, [len(part) for part in data]))
    at += at % 2
    entry, inline = (20, 8) if big else (12, 4)
    extra_at = at + (8 if big else 2) + entry * len(tags) + (8 if big else 4)
    directory, extra = struct.pack(order + ("Q" if big else "H"), len(tags)), b""
    for tag, (kind, values) in sorted(tags.items()):
        value = b"".join(struct.pack(order + sizes[kind], v) for v in values)
        count = len(values) // 2 if kind == 5 else len(values)
        directory += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count)
        if len(value) <= inline:
            directory += value.ljust(inline, b"\0")
        else:
            directory += struct.pack(order + ("Q" if big else "I"), extra_at + len(extra))
            extra += value + b"\0" * (len(value) % 2)
    directory += bytes(8 if big else 4)
    mark = b"II" if order == "<" else b"MM"
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at))
    body = b"".join(data)
    return (head + body).ljust(at, b"\0") + directory + extra


def tiff_kind(width, height, photometric, bits, samples, *, order="<", big=False, planar=1, tile=None, rows=None, extra=None, form=None, fill=None, compression=1, predictor=None, more=None):
    """Random samples; compression 1, 8 (deflate) or 32773 (PackBits, as literal runs)."""
    tags = {256: (SHORT, [width]), 257: (SHORT, [height]), 258: (SHORT, [bits] * samples), 259: (SHORT, [compression]), 262: (SHORT, [photometric]), 277: (SHORT, [samples]), 284: (SHORT, [planar])}
    if extra is not None:
        tags[338] = (SHORT, extra)
    if form is not None:
        tags[339] = (SHORT, [form] * samples)
    if fill is not None:
        tags[266] = (SHORT, [fill])
    if predictor is not None:
        tags[317] = (SHORT, [predictor])
    if photometric == 3:
        tags[320] = (SHORT, [int(v) for v in random.integers(0, 65536, 3 << bits)])
    tags.update(more or {})
    w, h = tile or (width, rows or height)
    if tile:
        tags[322], tags[323] = (SHORT, [w]), (SHORT, [h])
    else:
        tags[278] = (SHORT, [h])
    each = 1 if planar == 2 else samples
    across = -(-width // w)
    parts = []
    for _ in range(samples if planar == 2 else 1):
        for row in range(0, height, h):
            count = h if tile else min(h, height - row)
            for _ in range(across):
                raw = random.bytes(-(-w * bits * each // 8) * count)
                if form == 3:
                    raw = (random.normal(100, 120, w * each * count).astype(order + f"f{bits // 8}")).tobytes()
                if compression in (8, 32946):
                    raw = zlib.compress(raw)
                elif compression == 32773:
                    raw = b"".join(bytes([len(raw[i : i + 128]) - 1]) + raw[i : i + 128] for i in range(0, len(raw), 128))
                parts.append(raw)
    return tiff(tags, parts, order, big)


def tiffs():
    kinds = [
        (0, 1, 1, None), (1, 1, 1, None), (0, 2, 1, None), (1, 2, 1, None), (0, 4, 1, None), (1, 4, 1, None), (0, 8, 1, None), (1, 8, 1, None), (1, 12, 1, None), (0, 16, 1, None), (1, 16, 1, None), (1, 32, 1, None), (0, 32, 1, None),
        (1, 8, 2, [0]), (1, 8, 2, [1]), (1, 8, 2, [2]), (1, 8, 2, None), (1, 16, 2, [0]), (1, 16, 2, [2]), (2, 8, 3, None), (2, 8, 4, None), (2, 8, 4, [0]), (2, 8, 4, [1]), (2, 8, 4, [2]), (2, 8, 4, [999]), (2, 8, 5, [0, 0]), (2, 8, 5, [1, 0]), (2, 8, 5, [2, 0]), (2, 8, 6, [0, 0, 0]), (2, 8, 6, [2, 0, 0]),
        (2, 16, 3, None), (2, 16, 4, None), (2, 16, 4, [0]), (2, 16, 4, [1]), (2, 16, 4, [2]), (2, 32, 3, None), (2, 4, 3, None), (3, 1, 1, None), (3, 2, 1, None), (3, 4, 1, None), (3, 8, 1, None), (3, 8, 2, [0]), (3, 8, 2, [2]), (3, 16, 1, None),
        (5, 8, 4, None), (5, 8, 5, [0]), (5, 8, 6, [0, 0]), (5, 8, 5, [2]), (5, 16, 4, None), (6, 8, 3, None), (6, 8, 1, None), (8, 8, 3, None), (8, 16, 3, None), (4, 1, 1, None), (9, 8, 3, None),
    ]
    layouts = {"strip": {}, "strips": {"rows": 3}, "tiles": {"tile": (16, 16)}}
    for (photometric, bits, samples, extra), order, (layout, options), compression in itertools.product(kinds, "<>", layouts.items(), [1, 8]):
        name = f"{photometric}-{bits}-{samples}-{extra}-{'le' if order == '<' else 'be'}-{layout}-{compression}"
        yield name, tiff_kind(21, 11, photometric, bits, samples, order=order, extra=extra, compression=compression, **options)
    for (photometric, bits, samples, extra), compression, planar, predictor in itertools.product(kinds, [1, 8], [1, 2], [None, 2]):
        if samples > 1 and (planar == 2 or (predictor and compression == 8)):
            yield f"planar-{photometric}-{bits}-{samples}-{extra}-{compression}-{planar}-{predictor}", tiff_kind(21, 11, photometric, bits, samples, extra=extra, planar=planar, compression=compression, predictor=predictor, rows=4)
            yield f"planar-tiled-{photometric}-{bits}-{samples}-{extra}-{compression}-{planar}-{predictor}", tiff_kind(21, 11, photometric, bits, samples, extra=extra, planar=planar, compression=compression, predictor=predictor, tile=(16, 16))
    for (photometric, bits, samples, extra), compression in itertools.product(kinds[:20], [1, 32773]):
        yield f"fill-{photometric}-{bits}-{samples}-{extra}-{compression}", tiff_kind(21, 11, photometric, bits, samples, extra=extra, fill=2, compression=compression)
        yield f"big-{photometric}-{bits}-{samples}-{extra}-{compression}", tiff_kind(21, 11, photometric, bits, samples, extra=extra, big=True, compression=compression)
    for form, bits, photometric, order, compression in itertools.product([2, 3, 4], [8, 16, 32, 64], [0, 1], "<>", [1, 8]):
        if form != 3 or bits >= 16:
            yield f"form-{form}-{bits}-{photometric}-{'le' if order == '<' else 'be'}-{compression}", tiff_kind(21, 11, photometric, bits, 1, form=form, order=order, compression=compression)
    for orientation in range(0, 10):
        yield f"turned-{orientation}", tiff_kind(21, 11, 2, 8, 3, more={274: (SHORT, [orientation])})
        yield f"turned-compressed-{orientation}", tiff_kind(21, 11, 2, 8, 3, compression=8, more={274: (SHORT, [orientation])})
    for compression in [2, 3, 4, 5, 6, 7, 32771, 32809, 34712, 50002, 9999]:
        yield f"compression-{compression}", tiff_kind(21, 11, 1, 8, 1, compression=compression)
    yield from pillow_tiffs()
    yield from tifffile_tiffs()
    for number, options in enumerate([{}, {"compression": 8}, {"tile": (16, 16)}, {"planar": 2}, {"compression": 8, "tile": (16, 16)}]):
        yield from mutations(f"seed-{number}", tiff_kind(21, 11, 2, 8, 3, **options), 30)
    for compression in ["group4", "tiff_lzw", "jpeg"]:
        image = picture("1" if compression == "group4" else "RGB", 40, 30)
        yield from mutations(f"seed-{compression}", saved(image, "TIFF", compression=compression), 30)


def pillow_tiffs():
    modes = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F", "RGBX"]
    compressions = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group3", "group4", "tiff_ccitt", "zstd", "lzma", "webp", "tiff_deflate"]
    for mode, compression in itertools.product(modes, compressions):
        if mode in ("I;16", "I", "F"):
            image = Image.fromarray(scene(45, 35, 1)[..., 0].astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]) * 3)
        elif mode == "LAB":
            image = Image.frombytes("LAB", (45, 35), scene(45, 35).tobytes())
        else:
            image = picture("RGB", 45, 35).convert(mode)
        try:
            yield f"pillow-{mode}-{compression}", saved(image, "TIFF", compression=compression)
            yield f"pillow-strips-{mode}-{compression}", saved(image, "TIFF", compression=compression, tiffinfo={278: 8})
        except (OSError, ValueError, KeyError, RuntimeError, SystemError):
            pass
    for subsampling in [(1, 1), (2, 1), (2, 2), (4, 1)]:
        try:
            yield f"ycbcr-{subsampling}", saved(picture("YCbCr", 45, 35), "TIFF", compression="tiff_lzw", tiffinfo={530: subsampling})
        except (OSError, ValueError, RuntimeError):
            pass


def tifffile_tiffs():
    try:
        import tifffile
    except ImportError:
        print("images.py: tifffile is not installed: its files are left out", file=sys.stderr)
        return
    for shape, kind, photometric in [((35, 45), "u1", "minisblack"), ((35, 45), "u2", "minisblack"), ((35, 45, 3), "u1", "rgb"), ((35, 45, 4), "u1", "rgb"), ((35, 45, 3), "u2", "rgb"), ((3, 35, 45), "u1", "rgb"), ((35, 45), "u1", "miniswhite"), ((35, 45), "f4", "minisblack"), ((35, 45), "i2", "minisblack"), ((4, 35, 45), "u1", "separated"), ((35, 45, 4), "u1", "separated")]:
        for options in [{}, {"tile": (16, 16)}, {"rowsperstrip": 5}, {"bigtiff": True}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True}, {"compression": "zlib", "tile": (16, 32), "predictor": True}, {"extratags": [(700, 1, 3, b"xmp", True)]}]:
            data = random.integers(0, 256, shape).astype(kind)
            file = io.BytesIO()
            planar = "separate" if shape[0] in (3, 4) else None
            try:
                tifffile.imwrite(file, data, photometric=photometric, planarconfig=planar, **options)
            except (ValueError, KeyError, ImportError, RuntimeError):
                continue
            yield f"tifffile-{'x'.join(map(str, shape))}-{kind}-{photometric}-{'-'.join(options)}", file.getvalue()


# PNM ------------------------------------------------------------------------------------------------------


def pnms():
    for magic, (width, height), maxval in itertools.product([2, 3, 5, 6], [(1, 1), (13, 9)], [0, 1, 2, 7, 15, 90, 100, 254, 255, 256, 999, 1000, 65535, 65536]):
        most = max(1, min(maxval, 65535))
        values = random.integers(0, most + 1, width * height * (3 if magic in (3, 6) else 1))
        if magic < 4:
            body = b" ".join(b"%d" % v for v in values) + b"\n"
        else:
            body = values.astype(">u2" if maxval > 255 else "u1").tobytes()
        yield f"p{magic}-{width}x{height}-{maxval}", b"P%d\n%d %d\n%d\n" % (magic, width, height, maxval) + body
        yield f"comments-p{magic}-{width}x{height}-{maxval}", b"P%d # a\n#b\n%d# c\n%d\n%d " % (magic, width, height, maxval) + body
        if maxval in (100, 255, 999):
            over = values.copy()
            over[0] = maxval + 1 if maxval != 255 or magic < 4 else 255
            body = b" ".join(b"%d" % v for v in over) if magic < 4 else over.astype(">u2" if maxval > 255 else "u1").tobytes()
            yield f"over-p{magic}-{width}x{height}-{maxval}", b"P%d %d %d %d\n" % (magic, width, height, maxval) + body
            yield f"short-p{magic}-{width}x{height}-{maxval}", b"P%d %d %d %d\n" % (magic, width, height + 1, maxval) + body
    for width, height in [(1, 1), (8, 8), (13, 9)]:
        bits = random.integers(0, 2, (height, width))
        yield f"p1-{width}x{height}", b"P1\n%d %d\n" % (width, height) + b"\n".join(b" ".join(b"%d" % v for v in row) for row in bits)
        yield f"p1-dense-{width}x{height}", b"P1\n%d %d\n" % (width, height) + b"\n".join(b"".join(b"%d" % v for v in row) for row in bits) + b"\n"
        yield f"p1-comment-{width}x{height}", b"P1\n%d %d\n# c\n" % (width, height) + b"".join(b"%d" % v for v in bits.ravel())
        yield f"p1-two-{width}x{height}", b"P1\n%d %d\n" % (width, height) + b"2" * bits.size
        yield f"p4-{width}x{height}", b"P4\n%d %d\n" % (width, height) + np.packbits(bits, axis=1).tobytes()
    oddities = {
        "negative": b"P3 1 1 9 -1 2 3", "float": b"P3 1 1 9 1.5 2 3", "letters": b"P3 1 1 9 a 2 3", "long-token": b"P3 1 1 99999999999 1 2 3", "zero": b"P6 0 4 255\n", "huge": b"P6 99999 99999 255\n", "crlf": b"P6\r\n2 1\r\n255\r\nabcdef", "tabs": b"P6\t2\t1\t255\tabcdef", "vertical": b"P6\x0b2 1 255\nabcdef",
        "more": b"P6 2 1 255\nabcdefghi", "p7": b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\nabc", "pf": b"Pf\n1 1\n-1.0\n\0\0\x80\x3f", "pf-big": b"Pf\n1 1\n1.0\n\x3f\x80\0\0", "pF": b"PF\n1 1\n-1.0\n" + bytes(12), "p3-tight": b"P3 1 1 255 1 2 3", "p3-comment": b"P3 1 1 255 1 # x\n 2 3\n", "p2-more": b"P2 1 1 255 1 2 3",
    }
    yield from oddities.items()
    for magic, body in [("P6 13 9 255\n", scene(13, 9).tobytes()), ("P5 13 9 100\n", bytes(int(v) for v in random.integers(0, 101, 117))), ("P3 4 3 255\n", b" ".join(b"%d" % v for v in random.integers(0, 256, 36)))]:
        yield from mutations(f"seed-{magic[:2]}", magic.encode() + body, 36)


# Comparing ------------------------------------------------------------------------------------------------


def corpus():
    makers = {"jpg": jpegs, "png": pngs, "gif": gifs, "webp": webps, "bmp": bmps, "tif": tiffs, "pnm": pnms}
    for form, maker in makers.items():
        for name, content in maker():
            yield form, f"{name}.{form}".replace("/", "_").replace(" ", ""), content


KNOWN = ["JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"]


def pil(content):
    """`WIDTHxHEIGHT SHA256` of PIL's RGB pixels, or None if it refuses."""
    try:
        with Image.open(io.BytesIO(content), formats=[f for f in KNOWN if f != "MPO"]) as image:
            rgb = image.convert("RGB")
    except Exception:
        return None
    return f"{rgb.width}x{rgb.height} {hashlib.sha256(rgb.tobytes()).hexdigest()}"


def ours(decoder, paths):
    """The decoder's answer for each file: `WIDTHxHEIGHT SHA256` or `error: MESSAGE`."""
    done = subprocess.run([decoder], input="\n".join(map(str, paths)), capture_output=True, text=True)
    answers = done.stdout.splitlines()
    if done.returncode != 0 or len(answers) != len(paths):
        sys.exit(f"images.py: the decoder ended with {done.returncode} after {len(answers)} of {len(paths)} files\n{done.stderr[-2000:]}")
    return answers


COLUMNS = ["same pixels", "both refuse", "only we refuse", "only PIL refuses", "pixels differ"]


def compare(decoder, folder, jpegs):
    files = []
    more = (("jpg", f"{name}.jpg", content) for name, content in more_jpegs(jpegs))
    for form, name, content in itertools.chain(corpus(), more):
        path = folder / name
        path.write_bytes(content)
        files.append((form, path, pil(content)))
    counts = {form: dict.fromkeys(COLUMNS, 0) for form in FORMATS}
    for (form, path, theirs), answer in zip(files, ours(decoder, [path for _, path, _ in files])):
        refused = answer.startswith("error: ")
        if theirs is None:
            column = "both refuse" if refused else "only PIL refuses"
        elif refused:
            column = "only we refuse"
        else:
            column = "same pixels" if answer == theirs else "pixels differ"
        counts[form][column] += 1
        if column in COLUMNS[2:]:
            print(f"{column}: {path.name}: {answer[:120]}")
    print(f"\nPillow {PIL.__version__}")
    print("| format | files | " + " | ".join(COLUMNS) + " |")
    print("| --- " * (len(COLUMNS) + 2) + "|")
    for form, row in counts.items():
        print(f"| {form} | {sum(row.values())} | " + " | ".join(str(row[column]) for column in COLUMNS) + " |")


def sample(path, step=8):
    from safetensors.numpy import save_file

    tensors, expected = {}, {}
    for number, (_, name, content) in enumerate(corpus()):
        if number % step == 0 and len(content) < 6000:
            tensors[name] = np.frombuffer(content, np.uint8).copy()
            expected[name] = pil(content) or "refused"
    save_file(tensors, path, {"pillow": PIL.__version__, "expected": json.dumps(expected)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["compare", "sample", "write"])
    parser.add_argument("path", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="leave the corpus in this folder")
    parser.add_argument("--jpegs", type=int, default=0, metavar="N", help="compare N more JPEGs; needs cjpeg")
    args = parser.parse_args()
    if args.action == "sample":
        return sample(args.path)
    if args.action == "write":
        args.path.mkdir(parents=True, exist_ok=True)
        for _, name, content in corpus():
            (args.path / name).write_bytes(content)
        return None
    with tempfile.TemporaryDirectory() as folder:
        folder = args.keep or pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        compare(args.path.resolve(), folder, args.jpegs)
    return None


if __name__ == "__main__":
    main()
