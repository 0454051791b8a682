//! scalars

fn main() {}
