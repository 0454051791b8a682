"""Makes formats.safetensors: small files of many kinds, and the pixels that PIL gives as `convert("RGB")`.

Run with Pillow 12.3.0, numpy and safetensors: python formats.py
"""
import io
import pathlib
import struct
import zlib

import numpy
from PIL import Image
from safetensors.numpy import save_file

WIDTH, HEIGHT = 11, 7
random = numpy.random.default_rng(3)
tensors = {}


def add(name, content):
    if callable(content):
        file = io.BytesIO()
        content(file)
        content = file.getvalue()
    pixels = numpy.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    tensors[f"{name} file"] = numpy.frombuffer(content, numpy.uint8).copy()
    tensors[f"{name} pixels"] = pixels.copy()


def levels(most, *shape, kind=numpy.uint8):
    return random.integers(0, most + 1, shape).astype(kind)


def saved(image, **options):
    return lambda file: image.save(file, **options)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows, colour, depth, extra=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + data + chunk(b"IEND", b"")


def bmp(masks):
    """16 bits a pixel: 5 each, or as the masks say."""
    row = (WIDTH * 2 + 3) // 4 * 4
    data = b"".join(line.tobytes().ljust(row, b"\0") for line in levels(65535, HEIGHT, WIDTH, kind="<u2"))
    mask = struct.pack("<III", *masks)[: 12 if any(masks) else 0]
    start = 54 + len(mask)
    about = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 16, 3 if mask else 0, len(data), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + about + mask + data


def gif(transparent=None, background=0):
    """A canvas of 20 x 20 with a first frame of 8 x 7 at (5, 6); LZW with a clear code after every second pixel."""
    bits = []
    put = lambda code: bits.extend((code >> k) & 1 for k in range(3))
    put(4)
    for i, colour in enumerate(levels(3, 8 * 7)):
        put(int(colour))
        if i % 2:
            put(4)
    put(5)
    bits += [0] * (-len(bits) % 8)
    data = bytes(sum(bits[i + k] << k for k in range(8)) for i in range(0, len(bits), 8))
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    control = b"" if transparent is None else b"\x21\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    screen = b"GIF89a" + struct.pack("<HHBBB", 20, 20, 0x91, background, 0) + levels(255, 12).tobytes()
    frame = b"\x2c" + struct.pack("<HHHHB", 5, 6, 8, 7, 0) + b"\x02" + blocks + b"\0"
    return screen + control + frame + b";"


image = Image.fromarray(levels(255, HEIGHT, WIDTH, 3))
deep = levels(65535, HEIGHT, WIDTH, 3, kind=">u2")
size = b"%d %d" % (WIDTH, HEIGHT)

for mode in ["RGB", "RGBA", "L", "LA", "P", "1"]:
    add(f"PNG {mode}", saved(image.convert(mode), format="PNG"))
add("PNG RGB 16", png(deep, 2, 16))
add("PNG grey 16", png(deep[..., 0], 0, 16))
add("PNG grey 16 with a transparent level", png(deep[..., 0], 0, 16, chunk(b"tRNS", struct.pack(">H", 5))))
add("PNG grey and alpha 16", png(deep[..., :2], 4, 16))
add("PNM of 255", b"P6 %s 255\n" % size + levels(255, HEIGHT, WIDTH, 3).tobytes())
add("PNM of 100", b"P6 # a comment\n%s 100\n" % size + levels(100, HEIGHT, WIDTH, 3).tobytes())
add("PNM of 65535", b"P6\n%s\n65535\n" % size + deep.tobytes())
add("PNM of 999", b"P6\n# one\n%s # two\n999\n" % size + levels(999, HEIGHT, WIDTH, 3, kind=">u2").tobytes())
add("PNM grey of 15", b"P5 %s 15\n" % size + levels(15, HEIGHT, WIDTH).tobytes())
add("PNM grey of 90", b"P5 %s 90\n" % size + levels(90, HEIGHT, WIDTH).tobytes())
add("PNM grey of 1000", b"P5 %s 1000\n" % size + levels(1000, HEIGHT, WIDTH, kind=">u2").tobytes())
add("PNM in text", b"P3\n# c\n2 2\n7\n1 2 3 4 5 6\n7 0 1 2 3 4\n")
add("BMP 555", bmp((0, 0, 0)))
add("BMP 565", bmp((0xF800, 0x7E0, 0x1F)))
add("BMP grey", saved(image.convert("L"), format="BMP"))
add("GIF", saved(image.quantize(30), format="GIF"))
add("GIF with a small frame", gif())
add("GIF with a small frame, transparent", gif(transparent=1, background=2))
for orientation in range(1, 9):
    add(f"TIFF turned {orientation}", saved(image, format="TIFF", tiffinfo={274: orientation}))
add("TIFF grey, packed", saved(image.convert("L"), format="TIFF", compression="packbits"))
add("WebP", saved(image, format="WEBP", lossless=True))

save_file(tensors, pathlib.Path(__file__).with_suffix(".safetensors"))
