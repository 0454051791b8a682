//! `scalars` as a user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test is a panic"
)]

mod browser;
mod cli;
mod interop;
mod neighbours;
