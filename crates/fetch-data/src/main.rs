//! fetch-data: see the library for what it does.

use std::process::ExitCode;

use fetch_data::args::Args;
use fetch_data::config::{Command, Config};
use fetch_data::{available, fetch, list};
use torchmill::{Result, cli};

fn main() -> ExitCode {
    cli::main(|a: &Args| &a.common, |args| run(&Config::from_args(args)?))
}

fn run(config: &Config) -> Result<()> {
    let options = &config.options;
    match &config.command {
        Command::List => cli::print(list::table(options).as_bytes()),
        Command::Available(names) => {
            names.iter().try_for_each(|name| available::check(name, options))
        }
        Command::Fetch(names) => {
            for name in names {
                let folder = fetch::fetch(name, options)?;
                cli::print(format!("{}\n", folder.display()).as_bytes())?;
            }
            Ok(())
        }
    }
}
