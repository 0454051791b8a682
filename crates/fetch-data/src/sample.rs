//! The data set that is part of this program: 5,000 digits of MNIST, to train on without
//! a network connection.

/// The files of `mnist-5k` and their contents.
pub const MNIST_5K: &[(&str, &[u8])] = &[
    (
        "train-images-idx3-ubyte.gz",
        include_bytes!("../assets/mnist-5k/train-images-idx3-ubyte.gz"),
    ),
    (
        "train-labels-idx1-ubyte.gz",
        include_bytes!("../assets/mnist-5k/train-labels-idx1-ubyte.gz"),
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        include_bytes!("../assets/mnist-5k/t10k-images-idx3-ubyte.gz"),
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        include_bytes!("../assets/mnist-5k/t10k-labels-idx1-ubyte.gz"),
    ),
    ("ATTRIBUTION", include_bytes!("../assets/mnist-5k/ATTRIBUTION")),
];
