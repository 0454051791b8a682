//! train

fn main() {}
