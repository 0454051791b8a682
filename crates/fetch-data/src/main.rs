//! fetch-data

fn main() {}
