//! `evaluate` as a user runs it, on networks whose answers are known.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic")]

mod browser;
mod common;
mod compare;
mod images;
mod reports;
