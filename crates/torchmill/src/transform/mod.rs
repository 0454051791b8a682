//! The pipeline language and each transform.
