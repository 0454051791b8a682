//! Prints the results to standard output. Each format has a file.

mod csv;
mod json;
mod tables;
mod text;

use torchmill::{Result, cli};

use crate::args::Format;
use crate::config::Config;
use crate::outcome::Outcome;

#[cfg(test)]
pub use tables::classification_report;
pub use text::text;

/// Prints the results to standard output.
pub fn print(outcomes: &[Outcome], config: &Config) -> Result<()> {
    let text = match (config.format, config.report) {
        (Format::Text, _) => text(outcomes, config),
        (Format::Json, _) => json::json(outcomes, config)?,
        (Format::Csv, false) => csv::checkpoints(outcomes, config)?,
        (Format::Csv, true) => csv::classes(outcomes)?,
    };
    cli::print(text.as_bytes())
}
