//! What man pages contain in addition to the help text.

/// The sections of a program's page.
pub struct Sections {
    /// Paragraphs of DESCRIPTION, after the help's own.
    pub description: &'static str,
    /// FILES: names, and what they are.
    pub files: &'static [(&'static str, &'static str)],
    /// The documents that SEE ALSO names.
    pub documents: &'static str,
}

const CODECS: (&str, &str) = (
    "lib/torchmill-codecs",
    "Below the prefix of the installation: the libraries that decode JPEG, TIFF and WebP. \
     TORCHMILL_CODECS names another folder.",
);
const LIBTORCH: (&str, &str) = (
    "lib/torchmill",
    "Below the prefix of the installation: libtorch. LD_LIBRARY_PATH may name another folder.",
);

/// The programs, and their sections.
pub const PROGRAMS: [(&str, Sections); 5] = [
    ("fetch-data", FETCH_DATA),
    ("prep", PREP),
    ("train", TRAIN),
    ("evaluate", EVALUATE),
    ("scalars", SCALARS),
];

/// The sections of a program; empty ones for a program that is not in the list.
pub fn of(program: &str) -> Sections {
    let found = PROGRAMS.into_iter().find(|(name, _)| *name == program);
    found.map_or(
        Sections { description: "", files: &[], documents: "" },
        |(_, sections)| sections,
    )
}

const FETCH_DATA: Sections = Sections {
    description: "Files are checked against the published checksums. A download that was \
        interrupted goes on where it stopped, and several sources are tried. A data set that \
        is there already is not fetched again. mnist-5k is part of the program and needs no \
        network.\n\n\
        With --from the data set comes from an archive, a folder or an address of your own.",
    files: &[
        (
            "data/raw/NAME/dataset.toml",
            "What the data set is: its format, splits and classes, where it came from and \
             its licence. prep reads it.",
        ),
        ("data/raw/NAME", "The data set as it is published, unpacked."),
    ],
    documents: "datasets.md",
};

const PREP: Sections = Sections {
    description: "The steps of the pipeline that always give the same result are applied \
        once and stored. Random steps, and those that make tensors, are left to train. A run \
        with the same images and settings as before writes nothing.\n\n\
        Transforms have the names, arguments and results of torchvision.transforms.v2.",
    files: &[
        (
            "DIR/SPLIT-00000-of-00001.shard",
            "Images and labels, which train maps into memory.",
        ),
        (
            "data/raw/NAME/dataset.toml",
            "The description of a data set that fetch-data wrote.",
        ),
        CODECS,
    ],
    documents: "transforms.md, formats.md and datasets.md",
};

const TRAIN: Sections = Sections {
    description: "A recipe is a TOML file that describes the data's transforms, the network \
        and its training, with PyTorch's names. With the same seed a run has the initial \
        weights and batches that the same program in PyTorch has.\n\n\
        Ctrl-C finishes the step, saves and ends; --resume goes on, and the result is that of \
        a run that was not interrupted.",
    files: &[
        (
            "runs/NAME/config.toml",
            "The recipe with every setting, enough to repeat the run.",
        ),
        ("runs/NAME/metrics.csv", "The losses and metrics, which scalars reads."),
        ("runs/NAME/run.jsonl", "When, where and with what the run was made."),
        (
            "runs/NAME/checkpoints",
            "The weights after each epoch, as safetensors; the links best.safetensors and \
             last.safetensors; the states that a resume needs.",
        ),
        LIBTORCH,
    ],
    documents: "training.md, recipes.md, models.md and distributed.md",
};

const EVALUATE: Sections = Sections {
    description: "The network is that of the checkpoint, and the images are those of the \
        test split that its run used, unless others are named. With --compare it reads the \
        folders of runs and evaluates nothing.\n\n\
        With --export it writes the network as an ONNX file or as a state dict of torch.save.",
    files: &[
        (
            "runs/NAME/checkpoints/last.safetensors",
            "The checkpoint that a run's folder stands for.",
        ),
        (
            "runs/NAME/config.toml",
            "Where the run's shards are, its loss and its settings.",
        ),
        LIBTORCH,
        CODECS,
    ],
    documents: "evaluate.md and python.md",
};

const SCALARS: Sections = Sections {
    description: "A second call writes only what is new, and a running TensorBoard shows it. \
        Points that a resumed run replaced are replaced. Any CSV with a column of steps will \
        do.",
    files: &[
        ("runs/NAME/metrics.csv", "The table that train writes."),
        ("logs/NAME/events.out.tfevents.*", "TensorBoard's file of points."),
        ("runs/NAME/samples", "Pictures of evaluate --samples, for --images."),
        ("runs/NAME/checkpoints", "The weights, for --histograms."),
    ],
    documents: "scalars.md",
};
