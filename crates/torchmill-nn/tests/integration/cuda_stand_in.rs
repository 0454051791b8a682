//! What the stand-in for a GPU detects: each kind of mistake that the tests with it are
//! meant to find. Each test runs itself again, in a process that has GPUs.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};

use tch::{Device, Kind, Tensor};
use torchmill_nn::device;
use torchmill_nn::tensor::{f_download, f_upload, number};
use torchmill_testing::cuda_stand_in::{CudaStandIn, Event, run_with_events};
use torchmill_testing::{Sandbox, stderr};

/// Set in the process that has GPUs.
const INNER: &str = "TORCHMILL_TEST_ON_STAND_IN";

/// In the process with GPUs, returns the second one.
fn gpu() -> Option<Device> {
    std::env::var_os(INNER)?;
    Some(device::resolve(torchmill::device::Device::Cuda(1)).unwrap())
}

/// Runs a test of this file in a process with GPUs.
fn run_on_gpu(test: &str) -> Option<(Output, Vec<Event>)> {
    let stand_in = CudaStandIn::get(test)?;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("cuda_stand_in::{test}"), "--exact", "--nocapture"]);
    stand_in.provide(&mut command).env(INNER, "1");
    let folder = Sandbox::new();
    let (output, events) = run_with_events(&mut command, &folder.join("events"));
    assert!(events.iter().any(|event| event.kind == "allocate"), "{}", stderr(&output));
    Some((output, events))
}

fn ones(device: Device) -> Tensor {
    Tensor::ones([2, 3], (Kind::Float, device))
}

#[test]
fn host_code_that_reads_device_memory_ends_the_process() {
    if let Some(gpu) = gpu() {
        let first = ones(gpu).data_ptr().cast::<f32>();
        // SAFETY: it is not safe. The stand-in must end the process here.
        let value = unsafe { first.read_volatile() };
        panic!("the host read {value} from a GPU");
    }
    let test = "host_code_that_reads_device_memory_ends_the_process";
    let Some((output, _)) = run_on_gpu(test) else { return };
    let said = stderr(&output);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{said}");
    assert!(said.contains("CUDA stand-in: the host touched device memory"), "{said}");
}

#[test]
fn tensors_on_two_devices_are_an_error() {
    if let Some(gpu) = gpu() {
        let here = ones(gpu);
        let index = Tensor::from_slice(&[0_i64, 1]);
        for other in [Device::Cpu, Device::Cuda(0)] {
            for mixed in [
                here.f_add(&ones(other)),
                here.f_mm(&ones(other).f_t_().unwrap()),
                here.f_index_select(0, &index.to_device(other)),
                ones(other).f_index_select(0, &index.to_device(gpu)),
            ] {
                let error = mixed.unwrap_err().to_string();
                let is_named = error.contains("Expected all tensors to be on the same");
                assert!(is_named, "{other:?}: {error}");
            }
        }
        // As with a GPU, a number may be on the CPU.
        let _ = here.f_add(&number(1.0_f32)).unwrap();
        return;
    }
    let Some((output, _)) = run_on_gpu("tensors_on_two_devices_are_an_error") else {
        return;
    };
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn each_wait_is_counted() {
    if let Some(gpu) = gpu() {
        // None of this waits.
        let x = f_upload(&ones(Device::Cpu), gpu).unwrap();
        let sum = x.matmul(&x.tr()).relu().sum(Kind::Float) * 2.0;
        // These wait once each.
        let _ = sum.double_value(&[]);
        let _ = x.to_device(Device::Cpu);
        let _ = Tensor::from_slice(&[1.0_f32]).to_device(gpu);
        let _ = x.nonzero();
        let _ = f_download(&[&x, &sum]).unwrap();
        return;
    }
    let Some((output, events)) = run_on_gpu("each_wait_is_counted") else { return };
    assert!(output.status.success(), "{}", stderr(&output));
    let waits: Vec<_> = events.iter().filter(|event| event.kind == "wait").collect();
    assert_eq!(waits.len(), 5, "{waits:#?}");
}
