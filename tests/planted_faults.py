#!/usr/bin/env python3
"""Plants faults that only a GPU shows, one at a time, and runs the test that must fail.

Usage: tests/planted_faults.py [--only TEXT]

The faults are planted in a copy of the sources, in target/faults, which has builds of its
own. A fault replaces a text that must be in its file exactly once. Its test must pass without
the fault, and fail with it for the reason that is given here. `--only TEXT` plants the faults
whose names contain TEXT. The exit status is 1 if a fault was not found.

The tests use a stand-in for a GPU (docs/gpu.md), so this works on Linux only.
"""
import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "target/faults/sources"
# What cargo needs.
COPIED = ["Cargo.toml", "Cargo.lock", ".cargo", "crates", "tests", "docs", "README.md"]
ENVIRONMENT = dict(
    os.environ,
    CARGO_TARGET_DIR=str(ROOT / "target/faults/build"),
    LIBTORCH=os.environ.get("LIBTORCH", str(ROOT / ".libtorch")),
    TORCHMILL_CODECS=os.environ.get("TORCHMILL_CODECS", str(ROOT / ".codecs")),
)

# `package`, `target` and `test` are cargo's. `reason` is in the output of the failing test.
Fault = collections.namedtuple("Fault", "name file text replacement package test reason")

TOUCHED = "the host touched device memory"
MIXED = "Expected all tensors to be on the same device"
WAITS = r"\d+ waits in 20 steps, \d+ in 80"
NN = "crates/torchmill-nn/src/"
FAULTS = [
    Fault(
        "a CPU kernel is given a device tensor",
        NN + "kernel/kernels.h",
        "return x.device().is_cpu() && x.dim() == 4", "return x.dim() == 4",
        "train", "gpu::layers_that_have_a_kernel_for_the_cpu_are_the_same_on_a_gpu", TOUCHED,
    ),
    Fault(
        "host code reads a device tensor: labels",
        NN + "loader.rs",
        "(f_upload(images, device)?, f_upload(&labels, device)?)",
        "{ let labels = f_upload(&labels, device)?; let first = labels.data_ptr().cast::<i64>();"
        " unsafe { let _ = first.read_volatile(); } (f_upload(images, device)?, labels) }",
        "train", "gpu::random_transforms_are_the_same_on_a_gpu", TOUCHED,
    ),
    Fault(
        "a table is left on the CPU: class weights",
        NN + "loss/class_weights.rs",
        ".and_then(|t| t.f_to_device(device));", ".inspect(|_| { let _ = device; });",
        "train", "gpu::a_gpu_computes_what_the_cpu_does", MIXED,
    ),
    Fault(
        "a table is left on the CPU: the levels of channels",
        NN + "resident.rs",
        "let begins = f_upload(&Tensor::f_from_slice(&begins)?, device)?;",
        "let begins = Tensor::f_from_slice(&begins)?;",
        "train", "gpu::random_transforms_are_the_same_on_a_gpu", MIXED,
    ),
    Fault(
        "a tensor is left on the CPU: fp16's loss scale",
        NN + "scaler.rs",
        "scale: f_upload(&number(state.scale as f32), device)?,",
        "scale: number(state.scale as f32),",
        "train", "gpu::an_fp16_run_goes_on_as_if_it_had_not_stopped", MIXED,
    ),
    Fault(
        "a step waits: the loss is read back",
        "crates/train/src/training_model.rs",
        "let loss = loss.f_detach()?;",
        "let loss = loss.f_detach()?;\n        let _ = loss.f_double_value(&[])?;",
        "train", "gpu::a_step_does_not_wait_for_the_gpu", WAITS,
    ),
    Fault(
        "a step waits: batch norm's counter is added from the CPU",
        NN + "layer/batch_norm2d.rs",
        "running.batches.shallow_clone().f_add_scalar_(1)?",
        "running.batches.shallow_clone().f_add_(&Tensor::from(1_i64).f_to_device(x.device())?)?",
        "train", "gpu::a_step_does_not_wait_for_the_gpu", WAITS,
    ),
    Fault(
        "a step waits: fp16 asks whether a gradient overflowed",
        NN + "scaler.rs",
        "            Ok(overflow)\n",
        "            let _ = overflow.f_double_value(&[])?;\n            Ok(overflow)\n",
        "train", "gpu::a_step_does_not_wait_for_the_gpu", WAITS,
    ),
    Fault(
        "an evaluation waits more than once for each chunk",
        NN + "evaluation.rs",
        "let mut computed = vec![logits, losses];",
        "let _ = losses.f_to_device(tch::Device::Cpu)?;\n        let mut computed = vec![logits, losses];",
        "evaluate", "gpu::reading_back_an_evaluation_waits_once_for_each_chunk", "in 3 more chunks",
    ),
    Fault(
        "a checkpoint waits for each tensor",
        NN + "tensor.rs",
        "let is_last = i + 1 == tensors.len();", "let is_last = i < tensors.len();",
        "train", "gpu::a_checkpoint_waits_a_few_times_whatever_the_number_of_tensors",
        r"\d+ waits with a checkpoint, \d+ with four",
    ),
    Fault(
        "out of memory is a panic: the backward pass",
        "crates/train/src/training_model.rs",
        "Tensor::f_run_backward(&[scaled], &params, false, false)?",
        "Tensor::run_backward(&[scaled], &params, false, false)",
        "train", "gpu::a_run_that_is_out_of_memory_says_so_and_goes_on", "panicked at",
    ),
]


def write_if_other(path, contents):
    """Leaves the time of an unchanged file as it is, because cargo builds by times."""
    if not path.exists() or path.read_bytes() != contents:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)


def copy_sources():
    """Makes the copy equal to the sources."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *COPIED],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode().split("\0")
    wanted = {COPY / name for name in listed if name and (ROOT / name).is_file()}
    for path in wanted:
        write_if_other(path, (ROOT / path.relative_to(COPY)).read_bytes())
    for path in COPY.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def test(package, names):
    """Runs tests of a package. Returns whether all passed, and the output."""
    command = ["cargo", "test", "--locked", "-p", package, "--test", "integration", "--", "--exact", *names]
    done = subprocess.run(
        command, cwd=COPY, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    passed = len(re.findall(r"^test .* \.\.\. ok$", done.stdout, re.MULTILINE))
    return done.returncode == 0 and passed == len(names), done.stdout


def check_without_faults(faults):
    """The tests must pass, or their failure would show nothing."""
    for package in sorted({fault.package for fault in faults}):
        names = sorted({fault.test for fault in faults if fault.package == package})
        passed, output = test(package, names)
        if not passed:
            sys.exit(f"{output}\nplanted_faults.py: these tests of {package} fail without a fault")
        print(f"without a fault: {len(names)} tests of {package} pass", flush=True)


def is_found(fault):
    """Plants a fault, and returns whether its test fails for the reason."""
    path = COPY / fault.file
    original = path.read_text()
    count = original.count(fault.text)
    if count != 1:
        print(f"NOT PLANTED: {fault.name}: the text is in {fault.file} {count} times")
        return False
    try:
        path.write_text(original.replace(fault.text, fault.replacement))
        passed, output = test(fault.package, [fault.test])
    finally:
        path.write_text(original)
    reason = re.search(fault.reason, output)
    if passed or f"test {fault.test} ... FAILED" not in output or not reason:
        print(f"{output}\nNOT FOUND: {fault.name}")
        return False
    print(f"found: {fault.name}\n       {fault.test}: {reason.group()}", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="faults whose names contain this")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if options.only in fault.name]
    copy_sources()
    check_without_faults(chosen)
    missed = sum(not is_found(fault) for fault in chosen)
    print(f"{len(chosen)} faults, {missed} not found")
    sys.exit(missed > 0 or not chosen)


if __name__ == "__main__":
    main()
