//! The table of data sets. URLs and checksums are the publishers', as their pages and torchvision 0.26 give
//! them; where they come from otherwise is said beside them.

use torchmill::dataset::Kind;

use super::classes;
use super::{Download, Edition, Entry, Origin, Split};

/// Every data set that can be fetched by name.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "mnist-5k",
        page: "http://yann.lecun.com/exdb/mnist/",
        licence: "CC BY-SA 3.0",
        kind: Kind::Idx,
        image: "28x28 grey",
        classes: classes::DIGITS,
        splits: &[
            Split {
                name: "train",
                images: 4_000,
                files: &["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"],
            },
            Split {
                name: "test",
                images: 1_000,
                files: &["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"],
            },
        ],
        origin: Origin::Embedded(crate::sample::MNIST_5K),
    },
    Entry {
        name: "cifar10",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        licence: "none stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        kind: Kind::Cifar10,
        image: "32x32 RGB",
        classes: classes::CIFAR10,
        splits: &[
            Split {
                name: "train",
                images: 50_000,
                files: &[
                    "data_batch_1.bin",
                    "data_batch_2.bin",
                    "data_batch_3.bin",
                    "data_batch_4.bin",
                    "data_batch_5.bin",
                ],
            },
            Split { name: "test", images: 10_000, files: &["test_batch.bin"] },
        ],
        origin: Origin::Web {
            cache: "cifar10",
            files: &[Download {
                unpack: true,
                editions: &[
                    Edition {
                        file: "cifar-10-binary.tar.gz",
                        size: Some(170_052_171),
                        checksum: "md5:c32a1d4ab5d03f1284b67883e8d87530",
                        urls: &[
                            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                            // Where the page above redirects to.
                            "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
                            // Swift for TensorFlow's copy (swift-models, Datasets/CIFAR10).
                            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
                        ],
                    },
                    // The same six files, repacked by Apache MXNet (gluon.data.vision.CIFAR10).
                    Edition {
                        file: "cifar-10-binary-mxnet.tar.gz",
                        size: None,
                        checksum: "sha1:fab780a1e191a7eda0f345501ccd62d20f7ed891",
                        urls: &[
                            "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/cifar10/cifar-10-binary.tar.gz",
                        ],
                    },
                ],
            }],
        },
    },
    Entry {
        name: "cifar100",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        licence: "none stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        kind: Kind::Cifar100,
        image: "32x32 RGB",
        classes: classes::CIFAR100,
        splits: &[
            Split { name: "train", images: 50_000, files: &["train.bin"] },
            Split { name: "test", images: 10_000, files: &["test.bin"] },
        ],
        origin: Origin::Web {
            cache: "cifar100",
            files: &[Download {
                unpack: true,
                editions: &[
                    Edition {
                        file: "cifar-100-binary.tar.gz",
                        size: Some(168_513_733),
                        checksum: "md5:03b5dce01913d631647c71ecec9e9cb8",
                        urls: &[
                            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                            "https://cave.cs.toronto.edu/kriz/cifar-100-binary.tar.gz",
                        ],
                    },
                    // The same files, repacked by Apache MXNet (gluon.data.vision.CIFAR100).
                    Edition {
                        file: "cifar-100-binary-mxnet.tar.gz",
                        size: None,
                        checksum: "sha1:a0bb982c76b83111308126cc779a992fa506b90b",
                        urls: &[
                            "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/cifar100/cifar-100-binary.tar.gz",
                        ],
                    },
                ],
            }],
        },
    },
];
