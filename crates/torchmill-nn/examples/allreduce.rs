//! Measures the allreduce that averages gradients: `allreduce ELEMENTS ROUNDS`, started as
//! several processes. Rank 0 prints the median seconds of a round for a float32 tensor of
//! ELEMENTS. bench/measurements/processes.py compares it with torch.distributed's.

use std::error::Error;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};
use torchmill::launch::Launch;
use torchmill_nn::distributed::{Group, Processes};

const PROGRAM: &str = "allreduce";
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let elements: i64 = arguments.next().ok_or("ELEMENTS is missing")?.parse()?;
    let rounds: usize = arguments.next().ok_or("ROUNDS is missing")?.parse()?;
    let processes = Processes::meet(Launch::from_environment()?, PROGRAM, TIMEOUT)?;
    let group = processes.group().ok_or("start this as several processes")?;
    let seconds = median_seconds(group, elements, rounds)?;
    if processes.is_first() {
        println!("{seconds}");
    }
    processes.end(Ok(()))?;
    Ok(())
}

/// The median duration of a round. The first round, which is not measured, connects the
/// processes.
fn median_seconds(
    group: &Group,
    elements: i64,
    rounds: usize,
) -> Result<f64, Box<dyn Error>> {
    let mut tensor = Tensor::f_zeros([elements], (Kind::Float, Device::Cpu))?;
    group.all_reduce_sum(&mut tensor)?;
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        group.all_reduce_sum(&mut tensor)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(*seconds.get(rounds / 2).ok_or("ROUNDS must be at least 1")?)
}
