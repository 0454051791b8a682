//! `evaluate` as a user runs it, on networks with known outputs. `TORCHMILL_TEST_DEVICE`
//! names the device.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failing test is a panic")]

mod browser;
mod compare;
#[cfg(target_os = "linux")]
mod gpu;
mod images;
mod networks;
mod reports;
mod runs;
mod weights;
