//! The program fetch-data; the library does the work.

use std::process::ExitCode;

use fetch_data::args::Args;
use fetch_data::config::{Command, Config, Options};
use fetch_data::{available, fetch, list, weights};
use torchmill::pretrained::{self, Pretrained};
use torchmill::{Result, cli};

fn main() -> ExitCode {
    cli::main(|a: &Args| &a.common, |args| run(&Config::from_args(args)?))
}

fn run(config: &Config) -> Result<()> {
    let options = &config.options;
    match &config.command {
        Command::List => cli::print(list::table(options).as_bytes()),
        Command::Available(names) => {
            names.iter().try_for_each(|name| match weights_named(name, options) {
                Some(found) => weights::check(found, options),
                None => available::check(name, options),
            })
        }
        Command::Fetch(names) => {
            for name in names {
                let path = match weights_named(name, options) {
                    Some(found) => weights::fetch(found, options)?,
                    None => fetch::fetch(name, options)?,
                };
                cli::print(format!("{}\n", path.display()).as_bytes())?;
            }
            Ok(())
        }
    }
}

/// The published weights of this name. With `--from` a name is always a data set's.
fn weights_named(name: &str, options: &Options) -> Option<&'static Pretrained> {
    pretrained::find(name).filter(|_| options.from.is_none())
}
