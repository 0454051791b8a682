//! The data set that ships inside this program: 5,000 digits of MNIST, so that there is
//! something to train on without a network.

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
