//! fetch-data: see the library for what it does.

use std::process::ExitCode;

use fetch_data::args::Args;
use fetch_data::{available, fetch, list};
use torchmill::{Error, Result, cli};

fn main() -> ExitCode {
    cli::main(|a: &Args| &a.common, run)
}

fn run(args: Args) -> Result<()> {
    let options = args.options();
    if args.list {
        return cli::print(list::table(&options).as_bytes());
    }
    if args.available {
        return args.names.iter().try_for_each(|name| {
            available::available(name, &options, available::DEADLINE)
        });
    }
    if options.from.is_some() && args.names.len() > 1 {
        return Err(Error::usage("--from is one data set: give one NAME"));
    }
    for name in args.names {
        let folder = fetch::fetch(&name, &options)?;
        cli::print(format!("{}\n", folder.display()).as_bytes())?;
    }
    Ok(())
}
