//! `evaluate` as a user runs it, on networks whose answers are known.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failing test is a panic")]

mod browser;
mod compare;
mod images;
mod networks;
mod reports;
mod runs;
mod weights;
