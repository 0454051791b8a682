//! The TOML that describes a run, and the built-in ones.
