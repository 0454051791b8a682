//! Networks, losses, optimizers and the loader compared with PyTorch and torchvision.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test is a panic")]

mod architectures;
mod initialise;
mod layers;
mod loader;
mod pytorch;
