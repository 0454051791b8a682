//! prep

fn main() {}
