//! The table of data sets. URLs and checksums are the publishers', as their pages and
//! torchvision 0.26 give them; other sources are named in a comment. Sizes
//! are those that TensorFlow Datasets records.

use torchmill::dataset::{RawFormat, UNSPLIT};

use super::{Download, Edition, Entry, Origin, Size, Split, classes};
use crate::convert;

/// A file or archive of which there is one edition.
macro_rules! one {
    ($file:expr, $unpack:expr, $size:expr, $checksum:expr, [$($url:expr),+ $(,)?]) => {
        Download {
            unpack: $unpack,
            editions: &[Edition { file: $file, size: $size, checksum: $checksum, urls: &[$($url),+] }],
        }
    };
}

/// A split in IDX files.
macro_rules! idx {
    ($split:expr, $images:expr, $($prefix:literal),+) => {
        Split {
            name: $split,
            images: $images,
            files: &[
                concat!($($prefix),+, "-images-idx3-ubyte.gz"),
                concat!($($prefix),+, "-labels-idx1-ubyte.gz"),
            ],
        }
    };
}

/// MNIST's two splits, under the names that its relatives share.
const MNIST_SPLITS: &[Split] =
    &[idx!("train", 60_000, "train"), idx!("test", 10_000, "t10k")];

/// One of MNIST's four files, with the folders that have it.
macro_rules! mnist_file {
    ($file:literal, $size:expr, $md5:expr, [$($folder:literal),+]) => {
        one!($file, false, Size::Exact($size), concat!("md5:", $md5), [$(concat!($folder, $file)),+])
    };
}

/// One of EMNIST's splits; they share an archive. torchvision has the same classes in the
/// same order.
macro_rules! emnist {
    ($split:literal, $train:expr, $test:expr, $classes:expr) => {
        Entry {
            name: concat!("emnist-", $split),
            page: "https://www.nist.gov/itl/products-and-services/emnist-dataset",
            licence: "none stated; cite G. Cohen et al., EMNIST: an extension of MNIST to handwritten letters, 2017",
            format: RawFormat::Idx,
            image: "28x28 grey",
            classes: $classes,
            splits: &[
                idx!("train", $train, "emnist-", $split, "-train"),
                idx!("test", $test, "emnist-", $split, "-test"),
            ],
            origin: Origin::Web {
                cache: "emnist",
                files: &[one!(
                    "gzip.zip",
                    true,
                    Size::About(561_753_746),
                    "md5:58c8d27c78d21e728a6bc7b3cc06412e",
                    ["https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"]
                )],
                convert: Some(|raw, how, target| convert::emnist($split, raw, how, target)),
            },
        }
    };
}

/// One of the files of Oxford Flowers 102. Sizes are what others have seen; the checksums
/// are what counts.
macro_rules! flowers_file {
    ($file:literal, $unpack:expr, $size:expr, $md5:literal) => {
        one!(
            $file,
            $unpack,
            Size::About($size),
            concat!("md5:", $md5),
            [concat!("https://www.robots.ox.ac.uk/~vgg/data/flowers/102/", $file)]
        )
    };
}

const CIFAR_LICENCE: &str = "none stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009";

/// Every data set that can be fetched by name.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "mnist-5k",
        page: "http://yann.lecun.com/exdb/mnist/",
        licence: "CC BY-SA 3.0",
        format: RawFormat::Idx,
        image: "28x28 grey",
        classes: classes::DIGITS,
        splits: &[idx!("train", 4_000, "train"), idx!("test", 1_000, "t10k")],
        origin: Origin::Embedded(crate::sample::MNIST_5K),
    },
    Entry {
        name: "cifar10",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        licence: CIFAR_LICENCE,
        format: RawFormat::Cifar10,
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
                        size: Size::Exact(170_052_171),
                        checksum: "md5:c32a1d4ab5d03f1284b67883e8d87530",
                        urls: &[
                            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                            // Where the address above leads today.
                            "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
                            // Swift for TensorFlow's copy (swift-models,
                            // Datasets/CIFAR10).
                            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
                        ],
                    },
                    // The same batches, repacked by Apache MXNet, which gives this
                    // checksum (gluon.data.vision.CIFAR10).
                    Edition {
                        file: "cifar-10-binary-mxnet.tar.gz",
                        size: Size::About(169_570_669),
                        checksum: "sha1:fab780a1e191a7eda0f345501ccd62d20f7ed891",
                        urls: &[
                            "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/cifar10/cifar-10-binary.tar.gz",
                        ],
                    },
                    // The Python version, which torchvision takes.
                    Edition {
                        file: "cifar-10-python.tar.gz",
                        size: Size::Exact(170_498_071),
                        checksum: "md5:c58f30108f718f92721af3b95e74349a",
                        urls: &[
                            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                            "https://cave.cs.toronto.edu/kriz/cifar-10-python.tar.gz",
                        ],
                    },
                ],
            }],
            convert: None,
        },
    },
    Entry {
        name: "cifar100",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        licence: CIFAR_LICENCE,
        format: RawFormat::Cifar100,
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
                        size: Size::Exact(168_513_733),
                        checksum: "md5:03b5dce01913d631647c71ecec9e9cb8",
                        urls: &[
                            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                            "https://cave.cs.toronto.edu/kriz/cifar-100-binary.tar.gz",
                        ],
                    },
                    // The same files, repacked by Apache MXNet
                    // (gluon.data.vision.CIFAR100).
                    Edition {
                        file: "cifar-100-binary-mxnet.tar.gz",
                        size: Size::About(168_513_733),
                        checksum: "sha1:a0bb982c76b83111308126cc779a992fa506b90b",
                        urls: &[
                            "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/cifar100/cifar-100-binary.tar.gz",
                        ],
                    },
                    Edition {
                        file: "cifar-100-python.tar.gz",
                        size: Size::Exact(169_001_437),
                        checksum: "md5:eb9058c3a382ffc7106e4002c42a8d85",
                        urls: &[
                            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                            "https://cave.cs.toronto.edu/kriz/cifar-100-python.tar.gz",
                        ],
                    },
                ],
            }],
            convert: None,
        },
    },
    Entry {
        name: "mnist",
        page: "http://yann.lecun.com/exdb/mnist/",
        licence: "CC BY-SA 3.0",
        format: RawFormat::Idx,
        image: "28x28 grey",
        classes: classes::DIGITS,
        splits: MNIST_SPLITS,
        origin: Origin::Web {
            cache: "mnist",
            files: &[
                mnist_file!(
                    "train-images-idx3-ubyte.gz",
                    9_912_422,
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    [
                        "https://ossci-datasets.s3.amazonaws.com/mnist/",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/",
                        "http://yann.lecun.com/exdb/mnist/"
                    ]
                ),
                mnist_file!(
                    "train-labels-idx1-ubyte.gz",
                    28_881,
                    "d53e105ee54ea40749a09fcbcd1e9432",
                    [
                        "https://ossci-datasets.s3.amazonaws.com/mnist/",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/",
                        "http://yann.lecun.com/exdb/mnist/"
                    ]
                ),
                mnist_file!(
                    "t10k-images-idx3-ubyte.gz",
                    1_648_877,
                    "9fb629c4189551a2d022fa330f9573f3",
                    [
                        "https://ossci-datasets.s3.amazonaws.com/mnist/",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/",
                        "http://yann.lecun.com/exdb/mnist/"
                    ]
                ),
                mnist_file!(
                    "t10k-labels-idx1-ubyte.gz",
                    4_542,
                    "ec29112dd5afa0611ce80d1b7f02629c",
                    [
                        "https://ossci-datasets.s3.amazonaws.com/mnist/",
                        "https://storage.googleapis.com/cvdf-datasets/mnist/",
                        "http://yann.lecun.com/exdb/mnist/"
                    ]
                ),
            ],
            convert: None,
        },
    },
    Entry {
        name: "fashion-mnist",
        page: "https://github.com/zalandoresearch/fashion-mnist",
        licence: "MIT",
        format: RawFormat::Idx,
        image: "28x28 grey",
        classes: classes::FASHION_MNIST,
        splits: MNIST_SPLITS,
        origin: Origin::Web {
            cache: "fashion-mnist",
            // The second is where Keras gets them (keras.datasets.fashion_mnist).
            files: &[
                mnist_file!(
                    "train-images-idx3-ubyte.gz",
                    26_421_880,
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    [
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
                    ]
                ),
                mnist_file!(
                    "train-labels-idx1-ubyte.gz",
                    29_515,
                    "25c81989df183df01b3e8a0aad5dffbe",
                    [
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
                    ]
                ),
                mnist_file!(
                    "t10k-images-idx3-ubyte.gz",
                    4_422_102,
                    "bef4ecab320f06d8554ea6380940ec79",
                    [
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
                    ]
                ),
                mnist_file!(
                    "t10k-labels-idx1-ubyte.gz",
                    5_148,
                    "bb300cfdad3c16e7a12a480ee83cd310",
                    [
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
                    ]
                ),
            ],
            convert: None,
        },
    },
    Entry {
        name: "kmnist",
        page: "https://github.com/rois-codh/kmnist",
        licence: "CC BY-SA 4.0",
        format: RawFormat::Idx,
        image: "28x28 grey",
        classes: classes::KMNIST,
        splits: MNIST_SPLITS,
        origin: Origin::Web {
            cache: "kmnist",
            files: &[
                mnist_file!(
                    "train-images-idx3-ubyte.gz",
                    18_165_135,
                    "bdb82020997e1d708af4cf47b453dcf7",
                    ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
                ),
                mnist_file!(
                    "train-labels-idx1-ubyte.gz",
                    29_497,
                    "e144d726b3acfaa3e44228e80efcd344",
                    ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
                ),
                mnist_file!(
                    "t10k-images-idx3-ubyte.gz",
                    3_041_136,
                    "5c965bf0a639b31b8f53240b1b52f4d7",
                    ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
                ),
                mnist_file!(
                    "t10k-labels-idx1-ubyte.gz",
                    5_120,
                    "7320c461ea6c1c855c0b718fb2a4b134",
                    ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
                ),
            ],
            convert: None,
        },
    },
    emnist!("byclass", 697_932, 116_323, classes::EMNIST_BYCLASS),
    emnist!("bymerge", 697_932, 116_323, classes::EMNIST_BYMERGE),
    emnist!("balanced", 112_800, 18_800, classes::EMNIST_BYMERGE),
    emnist!("letters", 124_800, 20_800, classes::EMNIST_LETTERS),
    emnist!("digits", 240_000, 40_000, classes::DIGITS),
    emnist!("mnist", 60_000, 10_000, classes::DIGITS),
    Entry {
        name: "svhn",
        page: "http://ufldl.stanford.edu/housenumbers/",
        licence: "non-commercial use only",
        // Converted: records of one label byte and 32x32 RGB pixels, as CIFAR-10's.
        format: RawFormat::Cifar10,
        image: "32x32 RGB",
        classes: classes::DIGITS,
        splits: &[
            Split { name: "train", images: 73_257, files: &["train.bin"] },
            Split { name: "test", images: 26_032, files: &["test.bin"] },
        ],
        origin: Origin::Web {
            cache: "svhn",
            files: &[
                one!(
                    "train_32x32.mat",
                    false,
                    Size::Exact(182_040_794),
                    "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
                    ["http://ufldl.stanford.edu/housenumbers/train_32x32.mat"]
                ),
                one!(
                    "test_32x32.mat",
                    false,
                    Size::Exact(64_275_384),
                    "md5:eb5a983be6a315427106f1b164d9cef3",
                    ["http://ufldl.stanford.edu/housenumbers/test_32x32.mat"]
                ),
            ],
            convert: Some(convert::svhn),
        },
    },
    Entry {
        name: "stl10",
        page: "https://cs.stanford.edu/~acoates/stl10/",
        licence: "none stated; cite A. Coates, H. Lee, A. Y. Ng, An Analysis of Single Layer Networks, 2011",
        // Converted: PNG files.
        format: RawFormat::ImageFolder,
        image: "96x96 RGB",
        classes: classes::STL10,
        splits: &[
            Split { name: "train", images: 5_000, files: &["train"] },
            Split { name: "test", images: 8_000, files: &["test"] },
        ],
        origin: Origin::Web {
            cache: "stl10",
            files: &[one!(
                "stl10_binary.tar.gz",
                true,
                Size::Exact(2_640_397_119),
                "md5:91f7769df0f17e558f3565bffb0c7dfb",
                ["http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"]
            )],
            convert: Some(convert::stl10),
        },
    },
    Entry {
        name: "imagenette",
        page: "https://github.com/fastai/imagenette",
        licence: "Apache-2.0; the photographs under ImageNet's terms",
        format: RawFormat::ImageFolder,
        image: "160 px RGB",
        classes: &classes::names::<10>(classes::IMAGENETTE),
        splits: &[
            Split { name: "train", images: 9_469, files: &["train"] },
            Split { name: "test", images: 3_925, files: &["test"] },
        ],
        origin: Origin::Web {
            cache: "imagenette",
            files: &[one!(
                "imagenette2-160.tgz",
                true,
                Size::About(99_000_000),
                "md5:e793b78cc4c9e9a4ccc0c1155377a412",
                ["https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz"]
            )],
            convert: Some(|raw, how, to| {
                convert::imagenet_subset(classes::IMAGENETTE, raw, how, to)
            }),
        },
    },
    Entry {
        name: "imagewoof",
        page: "https://github.com/fastai/imagenette",
        licence: "Apache-2.0; the photographs under ImageNet's terms",
        format: RawFormat::ImageFolder,
        image: "160 px RGB",
        classes: &classes::names::<10>(classes::IMAGEWOOF),
        splits: &[
            Split { name: "train", images: 9_025, files: &["train"] },
            Split { name: "test", images: 3_929, files: &["test"] },
        ],
        origin: Origin::Web {
            cache: "imagewoof",
            // torchvision does not have this one; the checksum is the one that ports of
            // its Imagenette give.
            files: &[one!(
                "imagewoof2-160.tgz",
                true,
                Size::About(92_000_000),
                "md5:3d200a7be99704a0d7509be2a9fbfe15",
                ["https://s3.amazonaws.com/fast-ai-imageclas/imagewoof2-160.tgz"]
            )],
            convert: Some(|raw, how, to| {
                convert::imagenet_subset(classes::IMAGEWOOF, raw, how, to)
            }),
        },
    },
    Entry {
        name: "oxford-flowers102",
        page: "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        licence: "none stated; cite M.-E. Nilsback and A. Zisserman, Automated flower classification over a large number of classes, 2008",
        format: RawFormat::ImageFolder,
        image: "500 px RGB",
        classes: classes::FLOWERS102,
        splits: &[
            Split { name: "train", images: 1_020, files: &["train"] },
            Split { name: "val", images: 1_020, files: &["val"] },
            Split { name: "test", images: 6_149, files: &["test"] },
        ],
        origin: Origin::Web {
            cache: "oxford-flowers102",
            files: &[
                flowers_file!(
                    "102flowers.tgz",
                    true,
                    344_862_509,
                    "52808999861908f626f3c1f4e79d11fa"
                ),
                flowers_file!(
                    "imagelabels.mat",
                    false,
                    502,
                    "e0620be6f572b9609742df49c70aed4d"
                ),
                flowers_file!(
                    "setid.mat",
                    false,
                    14_989,
                    "a5357ecc9cb78c4bef273ce3793fc85c"
                ),
            ],
            convert: Some(convert::flowers102),
        },
    },
    Entry {
        name: "caltech101",
        page: "https://data.caltech.edu/records/mzrjq-6wc02",
        licence: "CC BY 4.0",
        format: RawFormat::ImageFolder,
        image: "300 px RGB",
        classes: classes::CALTECH101,
        splits: &[Split { name: UNSPLIT, images: 8_677, files: &["."] }],
        origin: Origin::Web {
            cache: "caltech101",
            files: &[one!(
                "caltech-101.zip",
                true,
                Size::About(137_414_764),
                "md5:3138e1922a9193bfa496528edbbc45d0",
                ["https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip"]
            )],
            convert: Some(convert::caltech101),
        },
    },
];
