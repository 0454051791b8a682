"""Makes the small files that the conversion tests read, and prints torchvision's results for them.

    python make.py        (numpy, scipy; run in this folder)

svhn.mat has SVHN's layout, imagelabels.mat and setid.mat have Oxford Flowers 102's (306 images, one of each of the 102
classes in each split); stl10 is made by the test itself from the same formula. It prints the SHA-256 sums of the
pixels (and labels) in the order of torchvision.datasets.SVHN and STL10.
"""

import hashlib

import numpy as np
import scipy.io

n = 5
h, w, c, i = np.meshgrid(np.arange(32), np.arange(32), np.arange(3), np.arange(n), indexing="ij")
x = ((h * 3 + w * 5 + c * 70 + i * 11) % 256).astype(np.uint8)
y = np.array([[1], [10], [3], [9], [10]], dtype=np.uint8)
scipy.io.savemat("svhn.mat", {"X": x, "y": y}, do_compression=True)
# SVHN.__init__: the label 10 is the digit 0; images first, colours second.
labels = y.squeeze().astype(np.int64)
np.place(labels, labels == 10, 0)
data = np.transpose(x, (3, 2, 0, 1))
records = b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, data))
print("svhn records", hashlib.sha256(records).hexdigest())

raw = (np.arange(3 * 96 * 96, dtype=np.int64) * 7 % 251).astype(np.uint8)
# STL10.__loadfile, then Image.fromarray(np.transpose(img, (1, 2, 0))).
image = np.transpose(np.reshape(raw, (-1, 3, 96, 96)), (0, 1, 3, 2))[0]
print("stl10 pixels", hashlib.sha256(np.transpose(image, (1, 2, 0)).tobytes()).hexdigest())

labels = (np.arange(306) * 5 % 102 + 1).astype(np.uint8)
scipy.io.savemat("imagelabels.mat", {"labels": labels[None]}, do_compression=True)
# Numbers from 1; in each of these thirds every class comes once, since 5 and 102 have no common divisor.
ids = [third.astype(np.uint16)[None] for third in np.split(np.arange(1, 307), 3)]
scipy.io.savemat("setid.mat", {"tstid": ids[0], "trnid": ids[1], "valid": ids[2]}, do_compression=True)
