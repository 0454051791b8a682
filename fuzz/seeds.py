#!/usr/bin/env python3
"""Makes seeds/TARGET/: small inputs of each form, for the fuzzers to begin with. Usage: seeds.py (needs Pillow)"""
import gzip
import io
import pathlib
import struct
import tarfile
import zipfile
import zlib

from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent


def seed(target, name, contents):
    path = HERE / "seeds" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)


def tar(*entries, form=tarfile.USTAR_FORMAT):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, kind in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, 2 if kind == tarfile.REGTYPE else 0
            info.linkname = "x" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(info, io.BytesIO(b"hi"))
    return file.getvalue()


plain = tar(("a/", tarfile.DIRTYPE), ("a/b.bin", tarfile.REGTYPE), ("a/c.bin", tarfile.REGTYPE))
seed("archive", "plain.tar", plain)
seed("archive", "plain.tar.gz", gzip.compress(plain, mtime=0))
seed("archive", "long.tar", tar(("n" * 150, tarfile.REGTYPE), form=tarfile.GNU_FORMAT))
seed("archive", "pax.tar", tar(("ü" * 90, tarfile.REGTYPE), form=tarfile.PAX_FORMAT))
seed("archive", "link.tar", tar(("l", tarfile.SYMTYPE), ("l/b", tarfile.REGTYPE)))
seed("archive", "outside.tar", tar(("../b", tarfile.REGTYPE)))
file = io.BytesIO()
with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr(zipfile.ZipInfo("a/b.txt"), "hi" * 20)
    archive.writestr(zipfile.ZipInfo("c"), "hi")
seed("archive", "two.zip", file.getvalue())


def element(kind, contents):
    return struct.pack("<II", kind, len(contents)) + contents + bytes(-len(contents) % 8)


def matrix(name, size, kind, numbers):
    parts = element(6, struct.pack("<II", 6, 0)), element(5, struct.pack(f"<{len(size)}i", *size)), element(1, name)
    return element(14, b"".join(parts) + element(kind, numbers))


header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
arrays = matrix(b"y", (2, 1), 2, b"\1\2") + matrix(b"trnid", (1, 3), 9, struct.pack("<3d", 1, 2, 300))
seed("mat", "plain", header + arrays)
packed = zlib.compress(matrix(b"X", (2, 2, 3), 4, bytes(range(24))))
seed("mat", "compressed", header + struct.pack("<II", 15, len(packed)) + packed)


def samples(form, *files):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, contents in files:
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    # Two blocks of zeros end it. tarfile writes up to 20, which would slow the fuzzer down.
    contents = file.getvalue().rstrip(b"\0")
    return contents + bytes(-len(contents) % 512 + 1024)


labelled = samples(tarfile.USTAR_FORMAT, ("0.jpg", b"hi"), ("0.cls", b"1"), ("a/1.png", b"ho"), ("a/1.cls", b"0"))
seed("webdataset", "labelled", b"\1" + labelled)
seed("webdataset", "gzipped", b"\0" + gzip.compress(labelled, mtime=0))
seed("webdataset", "json", b"\1" + samples(tarfile.GNU_FORMAT, ("0.json", b'{"label": "cat"}'), ("0.webp", b"hi"),
     ("n" * 150 + ".jpg", b"hi"), ("n" * 150 + ".txt", b"dog")))
seed("webdataset", "folders", b"\1" + samples(tarfile.PAX_FORMAT, ("cat/\u00fc.jpg", b"hi"), ("dog/1.jpg", b""), ("notes", b"x")))
seed("listing", "digits", """name = "Digits"
kind = "webdataset"
[[file]]
url = "https://a.org/train.tar"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
size = 12
split = "train"
[[file]]
url = "file:///x/val.tar"
path = "val/0.tar"
md5 = "900150983cd24fb0d6963f7d28e17f72"
split = "validation"
""")
for number, name in enumerate(["a/b.bin", "../x", "/etc/passwd", "a//./b", "C:x", "a\\b", "…/é"]):
    seed("entry_name", str(number), name)
seed("cifar", "ten", b"\0" + b"\3" + bytes(range(256)) * 12)
seed("cifar", "hundred", b"\1" + b"\3\x42" + bytes(range(256)) * 12)
seed("cifar_pickle", "one", b"\x80\2}(U\6labels](K\3eU\4datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
     b"K\0\x85U\1b\x87R(K\1K\1M\0\x0c\x86cnumpy\ndtype\nU\2u1K\0K\1\x87R\x89T\0\x0c\0\0"
     + bytes(range(256)) * 12 + b"tbu.")
images = struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 3) + bytes(range(12))
labels = struct.pack(">4BI", 0, 0, 8, 1, 2) + b"\7\3"
for name, pair in {"plain": (images, labels), "gzipped": (gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0))}.items():
    seed("idx", name, struct.pack("<H", len(pair[0])) + pair[0] + pair[1])
scene = Image.radial_gradient("L").resize((19, 17))
colour = Image.merge("RGB", [scene, scene.rotate(90), scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
for name, image, how in [
    ("420.jpg", colour, {"subsampling": "4:2:0"}), ("422.jpg", colour, {"subsampling": "4:2:2"}),
    ("444.jpg", colour, {"subsampling": "4:4:4", "quality": 95}), ("grey.jpg", scene, {}),
    ("progressive.jpg", colour, {"progressive": True}), ("restarts.jpg", colour, {"restart_marker_blocks": 1}),
    ("inks.jpg", colour.convert("CMYK"), {"subsampling": "4:4:4"}), ("inks-420.jpg", colour.convert("CMYK"), {"subsampling": "4:2:0"}),
    ("rgb.png", colour, {}), ("palette.png", colour.quantize(16), {}), ("alpha.png", colour.convert("RGBA"), {}),
    ("deep.png", Image.new("I;16", (5, 4), 700), {}), ("palette.gif", colour.quantize(16), {}), ("rgb.bmp", colour, {}),
    ("grey.tif", scene, {}), ("rgb.webp", colour, {"lossless": True}), ("grey.pgm", scene, {}),
]:
    file = io.BytesIO()
    form = {"jpg": "JPEG", "tif": "TIFF", "pgm": "PPM"}.get(name.split(".")[1], name.split(".")[1].upper())
    image.save(file, form, **how)
    seed("image", name, file.getvalue())
seed("list", "plain", "a/1.jpg\nb/2.jpg\tdog\nc/3.jpg\tcat\ttest\n\n")
seed("csv", "header", "\0path,label,split\n1.jpg,cat,train\n\"2,3.jpg\",dog,test\n")
seed("csv", "tabs", "\x011.jpg\tcat\n2.jpg\tdog\n")
seed("metrics", "points", "wall_time,step,epoch,tag,value\n1700000000.5,1,0,train loss,2.25\n1700000001,2,1,test accuracy,nan\n")
for number, text in enumerate([
    "Resize(8) | CenterCrop((4, 6)) | ToTensor | Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))",
    "Compose([RandomApply([ColorJitter(0.4, hue=(0, 0.1))], p=0.3), RandomErasing(value='random')])",
    "RandAugment(2, 9) | AutoAugment(AutoAugmentPolicy.CIFAR10) | GaussianBlur(3, sigma=(0.1, 2.0))",
    "RandomChoice([Pad(2, padding_mode=\"reflect\"), RandomRotation((90, 90), expand=True)], p=[1, 2])",
    "transforms.RandomAffine(10, (0.1, 0.1), scale=(0.5, 2), interpolation=InterpolationMode.BILINEAR)",
]):
    seed("pipeline", str(number), text)
recipe = HERE.parent / "crates/torchmill/src/recipe/builtin/article.toml"
seed("recipe", "article", recipe.read_bytes())
seed("recipe", "short", '[model]\nlayers = ["Flatten", "Linear(10)"]\n')
text = lambda s: struct.pack("<Q", len(s)) + s.encode()
meta = text("toy") + text("train") + struct.pack("<Q", 2) + text("cat") + text("dog")
meta += text("ToTensor") + text("") + text("ToTensor") + struct.pack("<II", 0, 1) + text("0" * 64) + text("prep 0.1.0")
seed("shard", "header", b"\1" + struct.pack("<H", len(meta) + 16) + struct.pack("<Q", 1) + meta + struct.pack("<Q", 0))
seed("shard", "prefix", b"\0TMSHARD\0" + struct.pack("<IIII", 2, 8, 0, 0) + bytes(8))
