//! Recipes: what is accepted, what is refused and how.

use super::*;

const SMALL: &str = r#"
name = "small"
[[model.layer]]
type = "Flatten"
[[model.layer]]
type = "Linear"
"#;

#[test]
fn built_in_recipes_parse_and_survive_a_round_trip() {
    for name in names() {
        let recipe = load(name).unwrap();
        assert_eq!(recipe.name, name);
        assert_eq!(Recipe::parse(&recipe.to_toml().unwrap()).unwrap(), recipe);
    }
}

#[test]
fn a_file_without_a_name_gives_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let unnamed = SMALL.replace("name = \"small\"\n", "");
    for (text, name) in [(unnamed.as_str(), "mine"), (SMALL, "small")] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(load(path.to_str().unwrap()).unwrap().name, name);
    }
    for text in [unnamed.clone(), format!("name = \"\"\n{unnamed}")] {
        let error = Recipe::parse_called(&text, "").unwrap_err();
        assert!(error.to_string().contains("cannot be a folder's name"), "{error}");
    }
    std::fs::write(&path, format!("name = \"\"\n{unnamed}")).unwrap();
    assert!(load(path.to_str().unwrap()).is_err());
}

#[test]
fn what_is_left_out_is_the_articles() {
    assert_eq!(Recipe::parse(SMALL).unwrap().train, load("article").unwrap().train);
}

fn error(text: &str) -> String {
    Recipe::parse(text).unwrap_err().to_string()
}

#[test]
fn misspelt_keys_are_named_with_their_line() {
    let key = error(&format!("{SMALL}\n[train]\nepochs = 2\nlearning_rate = 0.1\n"));
    assert!(key.starts_with("line 10: unknown field `learning_rate`"), "{key}");
    assert!(!key.contains("did you mean"), "{key}");
}

#[test]
fn impossible_values_are_usage_errors() {
    let schedule = |text: &str| format!("schedule = {{ type = {text} }}");
    let one_cycle = schedule("\"OneCycleLR\", max_lr = 0.1");
    let plateau = schedule("\"ReduceLROnPlateau\"");
    let train = |line: &str| line.to_owned();
    // A line of `[train]`, and the key that its error must name.
    for (bad, key) in [
        (train("epochs = -1"), "line 9"),
        (train("seed = 9223372036854775808"), "train.seed = 9223372036854775808 is too"),
        (train("batch_size = 0"), "batch_size"),
        (train("steps = 0"), "steps"),
        (train("eval_every = 0"), "eval_every"),
        (train("limit_train_batches = 0"), "limit_train_batches"),
        (train("limit_eval_batches = 0"), "limit_eval_batches"),
        (train("overfit_batches = 0"), "overfit_batches"),
        (train("precision = \"fp8\""), "unknown variant `fp8`"),
        (train("accumulate = 0"), "accumulate"),
        (train("accumulate = 65"), "accumulate"),
        (train("clip_grad_norm = -1.0"), "clip_grad_norm"),
        (train("clip_grad_norm = 0.0"), "clip_grad_norm"),
        (train("clip_grad_value = nan"), "clip_grad_value"),
        (train("mixup = 0.0"), "mixup"),
        (train("mixup = -0.2"), "mixup"),
        (train("cutmix = inf"), "cutmix"),
        (train("progressive_resizing = { mode = \"pad\" }"), "unknown variant `pad`"),
        (train("progressive_resizing = { initial_scale = 0.0 }"), "initial_scale"),
        (train("progressive_resizing = { initial_scale = nan }"), "initial_scale"),
        (train("progressive_resizing = { delay_fraction = -0.1 }"), "delay_fraction"),
        (
            train("progressive_resizing = { finetune_fraction = 1.1 }"),
            "finetune_fraction",
        ),
        (
            train("progressive_resizing = { finetune_fraction = nan }"),
            "finetune_fraction",
        ),
        (
            train(
                "progressive_resizing = { delay_fraction = 0.6, finetune_fraction = 0.5 }",
            ),
            "must not add up to more than 1",
        ),
        (train("progressive_resizing = { size_increment = 0 }"), "size_increment"),
        (train("no_decay = [\"biases\"]"), "unknown variant `biases`"),
        (
            train("sampler = { type = \"WeightedRandomSampler\", weights = [-1.0] }"),
            "sampler.weights",
        ),
        (
            train("sampler = { type = \"WeightedRandomSampler\", weights = [0.0] }"),
            "sampler.weights",
        ),
        (
            train("sampler = { type = \"WeightedRandomSampler\", weights = \"even\" }"),
            "or \"balanced\"",
        ),
        (
            train(
                "sampler = { type = \"WeightedRandomSampler\", weights = \"balanced\", \
                 num_samples = 0 }",
            ),
            "sampler.num_samples",
        ),
        (train("ema = { decay = 1.0 }"), "ema.decay"),
        (train("ema = { decay = 1.5 }"), "ema.decay"),
        (train("ema = { decay = -0.1 }"), "ema.decay"),
        (train("ema = { decay = nan }"), "ema.decay"),
        (train("warmup = { }"), "warmup"),
        (train("warmup = { epochs = 1, steps = 1 }"), "warmup"),
        (train("warmup = { steps = 0 }"), "warmup"),
        (train("warmup = { steps = 5, start_factor = 0.0 }"), "warmup.start_factor"),
        (train("warmup = { steps = 5, start_factor = 1.1 }"), "warmup.start_factor"),
        (format!("warmup = {{ steps = 5 }}\n{one_cycle}"), "OneCycleLR"),
        (format!("warmup = {{ epochs = 5 }}\n{one_cycle}"), "OneCycleLR"),
        (format!("warmup = {{ epochs = 5 }}\n{plateau}"), "ReduceLROnPlateau"),
        (train("group = [{ pattern = \"x\", lr = -1.0 }]"), "group"),
        (train("group = [{ pattern = \"x\", weight_decay = nan }]"), "group"),
        (train("early_stopping = { patience = 0 }"), "early_stopping.patience"),
        (train("early_stopping = { min_delta = -1.0 }"), "early_stopping.min_delta"),
        (schedule("\"StepLR\", step_size = 0"), "schedule.step_size"),
        (schedule("\"StepLR\", step_size = 1, gamma = 0.0"), "schedule.gamma"),
        (schedule("\"MultiStepLR\", milestones = [1], gamma = -0.1"), "schedule.gamma"),
        (schedule("\"ExponentialLR\", gamma = inf"), "schedule.gamma"),
        (schedule("\"CosineAnnealingLR\", T_max = 0"), "schedule.T_max"),
        (schedule("\"CosineAnnealingLR\", eta_min = -0.1"), "schedule.eta_min"),
        (schedule("\"CosineAnnealingWarmRestarts\", T_0 = 0"), "T_0"),
        (schedule("\"CosineAnnealingWarmRestarts\", T_0 = 1, T_mult = 0"), "T_mult"),
        (schedule("\"PolynomialLR\", total_iters = 0"), "schedule.total_iters"),
        (schedule("\"PolynomialLR\", power = -1.0"), "schedule.power"),
        (schedule("\"ReduceLROnPlateau\", factor = 1.0"), "schedule.factor"),
        (schedule("\"ReduceLROnPlateau\", min_lr = -1.0"), "min_lr"),
        (schedule("\"OneCycleLR\", max_lr = 0.0"), "max_lr"),
        (schedule("\"OneCycleLR\", max_lr = 0.1, pct_start = 1.5"), "schedule.pct_start"),
        (schedule("\"OneCycleLR\", max_lr = 0.1, base_momentum = 1.0"), "base_momentum"),
    ] {
        let error = Recipe::parse(&format!("{SMALL}\n[train]\n{bad}\n")).expect_err(&bad);
        assert!(
            error.exit_status() == 2 && error.to_string().contains(key),
            "{bad}: {error}"
        );
    }
    assert!(error("name = \"x\"\n[model]\nlayer = []\n").contains("has no layers"));
    for (table, key) in [
        ("[data]\nvalidation = 1.0", "validation"),
        ("[data]\nvalidation = -0.1", "validation"),
        ("[checkpoints]\nkeep = 0", "keep"),
        ("[checkpoints]\nsave_every = 0", "save_every"),
    ] {
        let error = error(&format!("{SMALL}\n{table}\n"));
        assert!(error.contains(key), "{table}: {error}");
    }
}

fn model(keys: &str) -> Result<Model> {
    Recipe::parse(&format!("name = \"x\"\n[model]\n{keys}\n")).map(|r| r.model)
}

#[test]
fn architectures_write_themselves_out_and_survive_a_round_trip() {
    for architecture in &ARCHITECTURES {
        let short = model(&format!("architecture = \"{}\"", architecture.name)).unwrap();
        let long = short.structure([3, 224, 224]).unwrap();
        assert!(!long.layers.is_empty(), "{}", architecture.name);
        let text = toml::to_string(&long).unwrap();
        assert_eq!(
            toml::from_str::<Model>(&text).unwrap(),
            long,
            "{}",
            architecture.name
        );
    }
}

#[test]
fn architectures_refuse_what_they_do_not_have() {
    let refused = |keys: &str| model(keys).unwrap_err().to_string();
    assert!(
        refused("architecture = \"resnet19\"")
            .contains("there are article, lenet5, resnet18")
    );
    assert!(
        refused("architecture = \"vgg11_bn\"\nstem = \"cifar\"")
            .contains("vgg11_bn has no option `stem`")
    );
    assert!(
        refused("stem = \"cifar\"\nlayer = [{type = \"Flatten\"}]")
            .contains("`stem` needs `architecture`")
    );
    assert!(
        refused("architecture = \"lenet5\"\nlayer = [{type = \"Flatten\"}]")
            .contains("has both")
    );
    let odd = model("architecture = \"vit_tiny\"").unwrap();
    assert!(odd.written_out([3, 30, 32]).unwrap_err().to_string().contains("30 x 32"));
}

#[test]
fn messages_are_in_the_words_of_recipes() {
    let train = |line: &str| format!("{SMALL}\n[train]\n{line}\n");
    for (bad, expected) in [
        (
            "epochs = \"many\"",
            "invalid type: string \"many\", expected a whole number of at least 0",
        ),
        ("epochs = 1.5", "expected a whole number of at least 0"),
        ("batch_size = -1", "expected a whole number of at least 0"),
        ("loss = \"CrossEntropyLoss\"", "expected a table"),
        ("optimizer = 3", "expected a table"),
        ("warmup = 3", "expected a table"),
        ("ema = 0.9", "expected a table"),
        ("shuffle = 1", "expected true or false"),
        ("no_decay = \"bias\"", "expected a list"),
        ("early_stopping = 3", "expected a table"),
        ("schedule = { type = \"MultiStepLR\", milestones = 3 }", "expected a list"),
        ("precision = 3", ""),
        ("group = 3", "expected a list"),
        ("schedule = { type = \"StepLR\", step_sise = 3 }", "(did you mean step_size?)"),
        ("schedule = { type = \"StepLr\", step_size = 3 }", "(did you mean StepLR?)"),
        ("optimizer = { lr = 0.1 }", "missing field `type`"),
    ] {
        let message = error(&train(bad));
        assert!(message.contains(expected), "{bad}: {message}");
        let said = message.replace("\"f64\"", "");
        let rust = [
            "u64",
            "usize",
            "f64",
            "i64",
            "struct",
            "enum",
            "tuple",
            "sequence",
            "tagged",
            "variant of",
        ];
        assert!(rust.iter().all(|word| !said.contains(word)), "{bad}: {message}");
    }
}

#[test]
fn a_name_is_one_folder() {
    for bad in ["", ".", "..", "../../up", "a/b", "a\\\\b", "a\\u0007"] {
        let error = error(&SMALL.replace("\"small\"", &format!("\"{bad}\"")));
        assert!(error.contains("cannot be a folder's name"), "{bad}: {error}");
    }
    Recipe::parse(&SMALL.replace("\"small\"", "\"\u{e9}t\u{e9} 2.0\"")).unwrap();
}
