//! Shared by the tests of all crates: [`Sandbox`], a temporary folder in which a test
//! runs the built programs; assertions on a program's output; small data sets; and a web
//! server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test is a panic"
)]

#[cfg(target_os = "linux")]
pub mod cuda_stand_in;
mod files;
mod images;
mod output;
mod programs;
mod sandbox;
mod stripes;
pub mod web;

pub use files::{copy_folder, exists, flip_byte, names};
pub use images::{pixel, write_cifar10, write_pets, write_ppm};
pub use output::{
    Said, assert_done, assert_fails, fails, ok, refuses, said, stderr, stdout,
};
pub use programs::{
    LIBTORCH_PROGRAMS, PROGRAMS, codecs, default_signals, device, libtorch, program,
    program_folder, python, repository,
};
pub use sandbox::Sandbox;
pub use stripes::{STRIPES, write_stripes, write_stripes_for, write_stripes_twice};
