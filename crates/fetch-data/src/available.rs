//! `--available`: whether a data set is here or can be had, told within seconds, for
//! Makefiles.

use std::time::Duration;

use torchmill::{Error, Result, progress};

use crate::catalogue::{self, Origin};
use crate::download::probe;
use crate::fetch::{self, Options};
use crate::install;

/// How long sources have to answer.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// `Ok` if the data set is here, embedded, downloaded already, or a source answers before
/// the deadline.
pub fn available(name: &str, options: &Options, deadline: Duration) -> Result<()> {
    let folder = options.folder(name);
    if install::installed(&folder)?.is_some() {
        progress::note(format_args!("{name} is in {}", folder.display()));
        return Ok(());
    }
    let entry = catalogue::find(name).ok_or_else(|| fetch::unknown(name))?;
    let Origin::Web { cache, files, .. } = &entry.origin else {
        progress::note(format_args!("{name} is embedded in fetch-data"));
        return Ok(());
    };
    let cache = options.cache().join(cache);
    let missing =
        files.iter().find(|f| !f.editions.iter().any(|e| cache.join(e.file).is_file()));
    let Some(missing) = missing else {
        progress::note(format_args!("{name} is downloaded, in {}", cache.display()));
        return Ok(());
    };
    if options.offline {
        return Err(Error::failed(format_args!(
            "{name} is not here (--offline: no source was asked)"
        )));
    }
    let editions = missing.editions.iter();
    let sources: Vec<(String, Option<u64>)> = editions
        .flat_map(|e| {
            fetch::urls(entry, e, &options.mirrors)
                .into_iter()
                .map(|url| (url, e.size.exact()))
        })
        .collect();
    match probe::first_to_answer(&sources, deadline) {
        Ok(url) => {
            progress::note(format_args!("{name} can be had from {url}"));
            Ok(())
        }
        Err(why) => Err(Error::failed(format_args!(
            "{name} is not here and no source has it now: {why}"
        ))),
    }
}
