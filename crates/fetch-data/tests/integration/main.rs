//! `fetch-data` as a user runs it, and its downloads from servers that misbehave.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test is a panic")]

mod as_published;
mod bad_web;
mod hub;
mod lists;
mod program;
