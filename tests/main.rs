//! Runs the built programs together, as users do: the whole pipeline, the Makefile,
//! Python code that reads their files, and all kinds of wrong input. No test here needs a
//! network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test is a panic"
)]

mod docs;
mod examples;
mod export;
mod given;
mod help;
mod install;
mod interop;
mod job;
mod licenses;
mod limits;
mod long_texts;
mod makefile;
mod named_files;
mod package;
mod permissions;
mod photographs;
mod pipeline;
mod signals;
mod start;
mod terminal;
mod unread;
mod update;
mod web;
mod wrong_input;
