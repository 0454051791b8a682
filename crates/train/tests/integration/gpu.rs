//! `train --device cuda` on a stand-in for a GPU gives the same runs as on the CPU.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use torchmill_testing::cuda_stand_in::{
    CudaStandIn, Event, count_waits, read_events, run_with_events, sample_allocations,
};
use torchmill_testing::{
    Sandbox, assert_done, assert_fails, program, stderr, write_stripes_for,
};

use crate::processes::{assert_all_done, outputs, start_each};
use crate::sizes::{ANY_SIZE, CROPPED, GROWING};
use crate::{
    RECIPE, assert_same_run, checkpoint, command, go_on_command, metrics, runs, sandbox,
};

/// Runs `train` with two GPUs.
fn on_gpu(stand_in: &CudaStandIn, folder: &Path, run: &str, options: &[&str]) -> Command {
    let mut command = command(folder, run, options);
    stand_in.provide(&mut command);
    command
}

#[test]
fn the_suite_passes_on_a_gpu() {
    let Some(stand_in) = CudaStandIn::get("train's suite") else { return };
    // One test for each part of the program that uses the device.
    stand_in.run_tests(&[
        "runs::a_run_learns_and_leaves_everything_behind",
        "runs::no_state_of_the_step_shows_a_trace_of_being_killed",
        "runs::ctrl_c_saves_and_the_run_goes_on",
        "runs::validation_leaves_the_test_split_alone_until_the_end",
        "runs::a_run_from_other_weights_with_frozen_layers_goes_on_and_is_repeated",
        "runs::what_has_no_mean_says_so_and_what_to_do",
        "resume::averages_and_plateaus_may_come_and_go",
        "splits::a_weighted_sampler_draws_the_same_images_after_a_kill",
    ]);
}

/// Checks that two runs recorded the same losses and accuracies, within a relative
/// tolerance.
#[track_caller]
fn assert_same_figures(folder: &Path, cpu: &str, gpu: &str, tolerance: f64) {
    let cpu = metrics(folder, cpu);
    let gpu = metrics(folder, gpu);
    assert_eq!(cpu.len(), gpu.len());
    for ((tag, step, expected), (gpu_tag, gpu_step, value)) in cpu.iter().zip(&gpu) {
        assert_eq!((tag, step), (gpu_tag, gpu_step));
        let difference = (value - expected).abs();
        assert!(
            difference <= tolerance * expected.abs().max(1.0),
            "{tag} at step {step}: {expected} on the CPU, {value} on a GPU"
        );
    }
}

/// Trains on the CPU and on the second GPU and compares the metrics.
#[track_caller]
fn compare(stand_in: &CudaStandIn, folder: &Path, name: &str, options: &[&str]) {
    let gpu = format!("{name}-gpu");
    assert_done(&command(folder, name, options).args(CPU).output().unwrap());
    let mut on_gpu = on_gpu(stand_in, folder, &gpu, options);
    let log = folder.join("events");
    let (output, events) = run_with_events(on_gpu.args(["--device", "cuda:1"]), &log);
    assert_done(&output);
    assert!(stderr(&output).contains(" on cuda:1\n"), "{}", stderr(&output));
    let ran = |name: &str| {
        events.iter().any(|e| e.kind == "kernel" && e.details.starts_with(name))
    };
    assert!(ran("aten::convolution on cuda:1"), "{name}: the GPU computed nothing");
    // Seeding applies to all devices, whichever is used.
    let elsewhere = |e: &&Event| e.kind != "seed" && e.details.contains("on cuda:0");
    assert_eq!(events.iter().find(elsewhere), None, "{name}");
    // A bfloat16 has 8 bits of precision, and our own kernels run only on the CPU. Muon
    // computes in it on a GPU.
    let is_bf16 = options.contains(&"bf16") || name == "muon";
    assert_same_figures(folder, name, &gpu, if is_bf16 { 2e-2 } else { 1e-5 });
}

const CPU: [&str; 2] = ["--device", "cpu"];

/// Muon trains only matrices.
const BIASES: &str =
    "train.group=[{ pattern=\"*bias\", optimizer={ type=\"SGD\", lr=0.1 } }]";

#[test]
fn a_gpu_computes_what_the_cpu_does() {
    let Some(stand_in) = CudaStandIn::get("the comparison with the CPU") else { return };
    let folder = sandbox();
    let folder = folder.path();
    let log_softmax = "Linear\"\n[[model.layer]]\ntype = \"LogSoftmax\"\ndim = 1";
    let recipe = RECIPE.replace("Linear\"", log_softmax);
    fs::write(folder.join("log-softmax.toml"), recipe).unwrap();
    let step = ["--steps", "12", "--set"];
    for (name, settings) in [
        ("plain", &["train.optimizer.nesterov=true"][..]),
        ("bf16", &["train.seed=1", "--precision", "bf16"]),
        ("adam", &["train.optimizer={ type=\"Adam\", lr=0.01 }"]),
        ("adamw", &["train.optimizer={ type=\"AdamW\", lr=0.01, amsgrad=true }"]),
        (
            "rmsprop",
            &["train.optimizer={ type=\"RMSprop\", lr=0.01, momentum=0.9, \
                 centered=true }"],
        ),
        (
            "muon",
            &[
                "train.optimizer={ type=\"Muon\", lr=0.02, flatten=true }",
                "--set",
                BIASES,
            ],
        ),
        ("weights", &["train.loss={ type=\"CrossEntropyLoss\", weight=\"balanced\" }"]),
        (
            "bce",
            &["train.loss={ type=\"BCEWithLogitsLoss\", pos_weight=[1.0, 2.0, 3.0] }"],
        ),
        ("mse", &["train.loss={ type=\"MSELoss\" }"]),
        ("l1", &["train.loss={ type=\"L1Loss\" }"]),
        (
            "nll",
            &[
                "train.loss={ type=\"NLLLoss\", weight=[1.0, 2.0, 0.5] }",
                "--recipe",
                "log-softmax.toml",
            ],
        ),
        ("ema", &["train.ema={ decay=0.5 }"]),
        ("mixup", &["train.mixup=0.3", "--set", "train.clip_grad_norm=0.5"]),
        ("cutmix", &["train.cutmix=1.0", "--set", "train.accumulate=2"]),
        ("grown", &[GROWING, "--set", ANY_SIZE]),
        ("cropped", &[CROPPED, "--set", ANY_SIZE]),
    ] {
        compare(&stand_in, folder, name, &[&step[..], settings].concat());
    }
    // fp16 needs a GPU, so it is compared with fp32 on the CPU.
    let fp16 = ["--device", "cuda", "--precision", "fp16"];
    let options =
        [&["--steps", "12", "--set", "train.optimizer.nesterov=true"], &fp16[..]];
    let mut command = on_gpu(&stand_in, folder, "fp16", &options.concat());
    assert_done(&command.output().unwrap());
    assert_same_figures(folder, "plain", "fp16", 2e-2);
}

/// Our kernels for these layers compute on the CPU only.
#[test]
fn layers_that_have_a_kernel_for_the_cpu_are_the_same_on_a_gpu() {
    const LAYERS: &str = r#"kernel_size = 3
bias = false
[[model.layer]]
type = "BatchNorm2d"
[[model.layer]]
type = "SiLU"
[[model.layer]]
type = "Conv2d"
out_channels = 4
groups = 4
kernel_size = 3
padding = 1
[[model.layer]]
type = "MaxPool2d"
kernel_size = 2
"#;
    let Some(stand_in) = CudaStandIn::get("layers with kernels") else { return };
    let folder = sandbox();
    let folder = folder.path();
    let recipe = RECIPE.replace("kernel_size = 3\n", LAYERS);
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    compare(&stand_in, folder, "kernels", &["--steps", "8"]);
}

#[test]
fn random_transforms_are_the_same_on_a_gpu() {
    let Some(stand_in) = CudaStandIn::get("random transforms") else { return };
    let folder = sandbox();
    let folder = folder.path();
    for (name, pipeline) in [
        ("moved", "RandomCrop(8, padding=2) | RandomHorizontalFlip(0.5) | ToTensor"),
        ("rotated", "RandomRotation(20) | ToTensor"),
        ("erased", "ToTensor | RandomErasing(1.0)"),
    ] {
        write_stripes_for(&folder.join("shards"), "train", 200, "d", pipeline);
        compare(&stand_in, folder, name, &["--steps", "30"]);
    }
}

#[test]
fn a_run_moves_between_the_cpu_and_gpus() {
    let Some(stand_in) = CudaStandIn::get("moving a run") else { return };
    let folder = sandbox();
    let folder = folder.path();
    // Before batch norm, a convolution's bias has no gradient but rounding errors, which
    // AdamW amplifies like any gradient.
    let recipe =
        runs::full_recipe().replace("padding = 1 }", "padding = 1, bias = false }");
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    assert_done(&command(folder, "whole", &CPU).output().unwrap());
    let first = [&CPU[..], &["--epochs", "1"]].concat();
    assert_done(&command(folder, "moved", &first).output().unwrap());
    for (device, amount) in [
        ("cuda:1", ["--steps", "37"]),
        ("cuda", ["--epochs", "2"]),
        ("cpu", ["--epochs", "3"]),
    ] {
        let options = [&["--device", device], &amount[..]].concat();
        let mut command = go_on_command(folder, "moved", &options);
        assert_done(&stand_in.provide(&mut command).output().unwrap());
    }
    assert_same_figures(folder, "whole", "moved", 1e-4);
    assert!(checkpoint(folder, "moved", "epoch-0003.safetensors").exists());
}

#[test]
fn an_fp16_run_goes_on_as_if_it_had_not_stopped() {
    let Some(stand_in) = CudaStandIn::get("fp16") else { return };
    let folder = sandbox();
    let folder = folder.path();
    fs::write(folder.join("recipe.toml"), runs::full_recipe()).unwrap();
    let fp16 = ["--device", "cuda", "--precision", "fp16"];
    let options = [&fp16[..], &["--epochs", "3"]].concat();
    assert_done(&on_gpu(&stand_in, folder, "whole", &options).output().unwrap());
    let options = [&fp16[..], &["--steps", "20"]].concat();
    assert_done(&on_gpu(&stand_in, folder, "parts", &options).output().unwrap());
    for amount in [["--steps", "37"], ["--epochs", "3"]] {
        let options = [&["--device", "cuda"], &amount[..]].concat();
        let mut command = go_on_command(folder, "parts", &options);
        assert_done(&stand_in.provide(&mut command).output().unwrap());
    }
    assert_same_run(folder, "whole", "parts");
}

/// Trains on two GPUs, in a process for each. Returns the events of the processes.
#[track_caller]
fn on_two_gpus(
    stand_in: &CudaStandIn,
    folder: &Path,
    command: impl Fn() -> Command,
) -> [Vec<Event>; 2] {
    let log = |rank: u32| folder.join(format!("events-{rank}"));
    let processes = start_each(2, |rank| {
        let _ = fs::remove_file(log(rank));
        let mut command = command();
        command.args(["--device", "cuda"]).env("LOCAL_RANK", rank.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        stand_in.provide(&mut command).env("CUDA_STAND_IN_LOG", log(rank));
        command
    });
    assert_all_done(&outputs(processes));
    [0, 1].map(|rank| read_events(&log(rank)))
}

#[test]
fn two_processes_train_on_two_gpus_as_on_the_cpu() {
    let Some(stand_in) = CudaStandIn::get("two processes") else { return };
    let folder = sandbox();
    let folder = folder.path();
    let recipe =
        runs::full_recipe().replace("padding = 1 }", "padding = 1, bias = false }");
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    let whole = |run| move || command(folder, run, &[]);
    let on_cpu = start_each(2, |_| {
        let mut command = whole("cpu")();
        command.args(CPU);
        command
    });
    assert_all_done(&outputs(on_cpu));
    let events = on_two_gpus(&stand_in, folder, whole("gpu"));
    assert_same_figures(folder, "cpu", "gpu", 1e-4);
    for (rank, events) in events.iter().enumerate() {
        let (own, other) = (format!("on cuda:{rank}"), format!("on cuda:{}", 1 - rank));
        let uses = |gpu: &str| {
            let works = |e: &&Event| e.kind != "seed" && e.details.contains(gpu);
            events.iter().filter(works).count()
        };
        assert!(uses(&own) > 1000, "rank {rank} computed nothing");
        assert_eq!(uses(&other), 0, "rank {rank}");
    }
}

#[test]
fn two_processes_on_gpus_do_not_wait_in_a_step_and_go_on_in_fp16() {
    let Some(stand_in) = CudaStandIn::get("two processes in fp16") else { return };
    let folder = sandbox();
    let folder = folder.path();
    // In each process 80 steps are less than an epoch.
    write_stripes_for(&folder.join("shards"), "train", 800, "d", "ToTensor");
    fs::write(folder.join("recipe.toml"), runs::full_recipe()).unwrap();
    let train = |run, amount: &[&str]| {
        let fp16 = ["--precision", "fp16", "--batch-size", "4"];
        let options = [&fp16[..], amount].concat();
        on_two_gpus(&stand_in, folder, || command(folder, run, &options))
    };
    // Gloo's own thread waits for the gradients while the training thread goes on.
    let count = |mut events: Vec<Event>| {
        events.retain(|event| event.thread_name == "train-torch");
        count_waits(&events)
    };
    let few = train("few", &["--steps", "20"]).map(count);
    let more = train("parts", &["--steps", "80"]).map(count);
    for rank in [0, 1] {
        assert!(more[rank] < few[rank] + 20, "{few:?} waits in 20 steps, {more:?} in 80");
    }
    train("whole", &[]);
    on_two_gpus(&stand_in, folder, || go_on_command(folder, "parts", &["--epochs", "3"]));
    assert_same_run(folder, "whole", "parts");
}

#[test]
fn a_checkpoint_waits_a_few_times_whatever_the_number_of_tensors() {
    let Some(stand_in) = CudaStandIn::get("counting waits of checkpoints") else {
        return;
    };
    let folder = sandbox();
    let folder = folder.path();
    fs::write(folder.join("recipe.toml"), runs::full_recipe()).unwrap();
    let with = |every| {
        let options =
            ["--precision", "fp16", "--set", "train.accumulate=2", "--save-every", every];
        waits(&stand_in, folder, "20", &options)
    };
    let (one, four) = (with("20"), with("5"));
    // The network, its moving average and the optimizer have more than 40 tensors. A slow
    // machine reads losses back more often.
    assert!(four < one + 60, "{one} waits with a checkpoint, {four} with four");
}

fn only_epoch(device: &str) -> [&str; 4] {
    ["--device", device, "--epochs", "1"]
}

#[test]
fn devices_that_do_not_exist_are_refused() {
    let Some(stand_in) = CudaStandIn::get("missing devices") else { return };
    let folder = sandbox();
    let folder = folder.path();
    let train = |count: &str, device: &str| -> Output {
        let mut command = on_gpu(&stand_in, folder, "new", &only_epoch(device));
        command.env("CUDA_STAND_IN_DEVICES", count).output().unwrap()
    };
    for (count, message) in [
        ("0", "CUDA is not available: no GPU or driver was found"),
        ("1", "there is one GPU, cuda:0"),
        ("2", "there are 2 GPUs, cuda:0 and cuda:1"),
        ("8", "there are 8 GPUs, cuda:0 to cuda:7"),
    ] {
        assert_fails(
            &train(count, "cuda:99"),
            1,
            &format!("--device cuda:99: {message}"),
        );
    }
    assert!(!folder.join("new").exists());
    let output = train("0", "auto");
    assert_done(&output);
    assert!(stderr(&output).contains(" on cpu\n"), "{}", stderr(&output));
}

#[test]
fn a_cuda_library_that_cannot_be_loaded_is_named() {
    let Some(stand_in) = CudaStandIn::get("a damaged library") else { return };
    let folder = sandbox();
    let damaged = damaged_libtorch(&folder, stand_in.libraries());
    let folder = folder.path();
    let train = |device: &str| -> Output {
        let mut command = command(folder, device, &only_epoch(device));
        command.env("LD_LIBRARY_PATH", damaged).output().unwrap()
    };
    let reason = "cannot load libraries/libtorch_cuda.so: libraries/libtorch_cuda.so: file too short";
    assert_fails(&train("cuda"), 1, reason);
    let output = train("auto");
    assert_done(&output);
    let note = format!("note: computing on the CPU: {reason}\n");
    assert!(stderr(&output).contains(&note), "{}", stderr(&output));
    assert!(!stderr(&train("cpu")).contains("cannot load"));
}

/// A folder with links to libtorch, and an empty file in place of its CUDA library;
/// relative to the sandbox.
fn damaged_libtorch(sandbox: &Sandbox, libraries: &Path) -> &'static str {
    let folder = sandbox.join("libraries");
    fs::create_dir(&folder).unwrap();
    for name in torchmill_testing::names(libraries) {
        let library = fs::canonicalize(libraries.join(&name)).unwrap();
        if name.contains(".so") && name != "libtorch_cuda.so" {
            std::os::unix::fs::symlink(library, folder.join(&name)).unwrap();
        }
    }
    fs::write(folder.join("libtorch_cuda.so"), "").unwrap();
    "libraries"
}

#[test]
fn gpus_are_not_touched_without_being_asked_for() {
    let Some(stand_in) = CudaStandIn::get("the CPU next to GPUs") else { return };
    let folder = sandbox();
    let log = folder.join("events");
    fs::write(&log, "").unwrap();
    let mut command = program("train");
    command.current_dir(folder.path()).args(["--recipe", "recipe.toml"]);
    command.args(["--data", "shards", "--run", "run", "--epochs", "1"]).args(CPU);
    stand_in.provide(&mut command).env("CUDA_STAND_IN_LOG", &log);
    assert_done(&command.output().unwrap());
    assert_eq!(fs::read_to_string(&log).unwrap(), "");
}

/// Counts how often a run of this many steps waits for the GPU.
#[track_caller]
fn waits(stand_in: &CudaStandIn, folder: &Path, steps: &str, options: &[&str]) -> usize {
    let run = format!("run-{steps}");
    let _ = fs::remove_dir_all(folder.join(&run));
    let mut command = on_gpu(stand_in, folder, &run, options);
    command.args(["--device", "cuda", "--batch-size", "2", "--steps", steps]);
    let (output, events) = run_with_events(&mut command, &folder.join("events"));
    assert_done(&output);
    count_waits(&events)
}

#[test]
fn a_step_does_not_wait_for_the_gpu() {
    let Some(stand_in) = CudaStandIn::get("counting waits") else { return };
    let folder = sandbox();
    let folder = folder.path();
    fs::write(folder.join("full.toml"), runs::full_recipe()).unwrap();
    let rmsprop = "train.optimizer={ type=\"RMSprop\", lr=0.01 }";
    let muon = "train.optimizer={ type=\"Muon\", lr=0.02, flatten=true }";
    let weighted = "train.loss={ type=\"CrossEntropyLoss\", weight=\"balanced\" }";
    for (pipeline, options) in [
        ("ToTensor", &["--set", weighted][..]),
        ("RandomRotation(20) | ToTensor", &["--precision", "bf16"]),
        (
            "RandomCrop(8, padding=2) | ToTensor",
            &["--recipe", "full.toml", "--set", "train.accumulate=2"],
        ),
        (
            "ToTensor",
            &[
                "--recipe",
                "full.toml",
                "--set",
                "train.accumulate=2",
                "--precision",
                "fp16",
            ],
        ),
        ("ToTensor", &["--precision", "fp16", "--set", rmsprop]),
        ("ToTensor", &["--set", muon, "--set", BIASES]),
    ] {
        write_stripes_for(&folder.join("shards"), "train", 200, "d", pipeline);
        let few = waits(&stand_in, folder, "20", options);
        let more = waits(&stand_in, folder, "80", options);
        // Losses are read back every second, and a slow machine may do few steps in a
        // second.
        assert!(more < few + 20, "{options:?}: {few} waits in 20 steps, {more} in 80");
    }
}

#[test]
fn a_run_that_is_out_of_memory_says_so_and_goes_on() {
    let Some(stand_in) = CudaStandIn::get("failing allocations") else { return };
    let folder = sandbox();
    let folder = folder.path();
    let recipe =
        runs::full_recipe().replace("padding = 1 }", "padding = 1, bias = false }");
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    let options = ["--device", "cuda", "--resume", "--save-every", "5", "--steps", "30"];
    let mut whole = on_gpu(&stand_in, folder, "whole", &options);
    let (output, events) = run_with_events(&mut whole, &folder.join("events"));
    assert_done(&output);
    let mut failed = 0;
    for number in sample_allocations(&events, 15) {
        let mut command = on_gpu(&stand_in, folder, "run", &options);
        command.env("CUDA_STAND_IN_FAIL_AT", number.to_string());
        let output = command.output().unwrap();
        if output.status.success() {
            // Images that do not fit on the device are copied with each batch.
            fs::remove_dir_all(folder.join("run")).unwrap();
        } else {
            assert_out_of_memory(&output);
            failed += 1;
        }
    }
    assert!(failed >= 10, "only {failed} runs were out of memory");
    assert_done(&on_gpu(&stand_in, folder, "run", &options).output().unwrap());
    assert_same_figures(folder, "whole", "run", 0.0);
}

/// Checks that a program that ran out of memory says what it was doing, how much memory
/// it needed, and what to try.
#[track_caller]
fn assert_out_of_memory(output: &Output) {
    let message = stderr(output);
    let line = message.lines().last().unwrap_or_default();
    assert_fails(output, 1, "CUDA out of memory. Tried to allocate ");
    for advice in ["--batch-size", "accumulate", "--precision bf16"] {
        assert!(line.contains(advice), "{line}");
    }
    let place = line.trim_start_matches("train: ");
    assert!(!place.starts_with("CUDA"), "it does not say what was done: {line}");
}
