//! Networks, losses, optimizers and the loader compared with PyTorch and torchvision.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test is a panic")]

mod architectures;
#[cfg(target_os = "linux")]
mod cuda_stand_in;
mod initialise;
mod layers;
mod loader;
mod pytorch;
