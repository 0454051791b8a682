//! Loads the image codecs that PIL decodes with: libjpeg-turbo, libtiff and libwebp of
//! Pillow's wheel, which scripts/install-codecs installs.
//!
//! They are loaded when the first image needs one, so a program builds and starts
//! without them.

use std::env;
use std::ffi::{CStr, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::Library;

use crate::{Error, Result};

/// The variable that names the codecs' folder at run time. At build time
/// .cargo/config.toml sets it to the folder that scripts/install-codecs writes to, and
/// build.rs passes that on, perhaps relative to the program's folder.
const VARIABLE: &str = "TORCHMILL_CODECS";
const BUILT_WITH: Option<&str> = option_env!("TORCHMILL_BUILT_WITH_CODECS");

/// Where `make install` puts the codecs, relative to the folders of the programs and of
/// the executables that are linked with libtorch.
const INSTALLED: [&str; 2] = ["../lib/torchmill-codecs", "../../lib/torchmill-codecs"];

/// One of the codecs, loaded at most once.
pub struct Codec {
    /// The library's short name: `jpeg`.
    name: &'static str,
    library: OnceLock<Result<Library, String>>,
}

impl Codec {
    pub const fn new(name: &'static str) -> Self {
        Self { name, library: OnceLock::new() }
    }

    /// The addresses of these functions, in this order.
    ///
    /// Fails when the codecs are not installed; the message says how to install them.
    pub fn functions<const N: usize>(
        &self,
        names: [&CStr; N],
    ) -> Result<[*const c_void; N]> {
        let loaded = self.library.get_or_init(|| load(self.name));
        let library = loaded.as_ref().map_err(Error::failed)?;
        let mut functions = [std::ptr::null(); N];
        for (function, name) in functions.iter_mut().zip(names) {
            // SAFETY: the symbol is only read as an address here; the code that calls the
            // function states its type.
            let symbol = unsafe { library.get::<*const c_void>(name.to_bytes()) };
            *function = *symbol.map_err(|e| {
                Error::failed(format_args!("lib{} is of another version: {e}", self.name))
            })?;
        }
        Ok(functions)
    }
}

fn load(name: &str) -> Result<Library, String> {
    let folders = folders();
    let file = format!("lib{name}.so");
    let Some(folder) = folders.iter().find(|folder| folder.join(&file).exists()) else {
        return Err(missing(&folders));
    };
    let path = folder.join(file);
    // SAFETY: these libraries run no code of consequence when they are loaded, and they
    // are never unloaded.
    unsafe { Library::new(&path) }
        .map_err(|e| format!("cannot load the image codec {}: {e}", path.display()))
}

/// The folders where the codecs may be, in order of preference.
fn folders() -> Vec<PathBuf> {
    if let Some(folder) = env::var_os(VARIABLE) {
        return vec![folder.into()];
    }
    let program = env::current_exe().and_then(std::fs::canonicalize).ok();
    let own_folder = program.as_deref().and_then(Path::parent);
    let mut folders = Vec::new();
    if let Some(own_folder) = own_folder {
        folders.extend(INSTALLED.map(|path| own_folder.join(path)));
        folders.extend(BUILT_WITH.map(|path| own_folder.join(path)));
    }
    folders
}

fn missing(folders: &[PathBuf]) -> String {
    let folders: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
    format!(
        "needs the image codecs: run scripts/install-codecs in torchmill's repository, \
         or set {VARIABLE} to their folder; they are not in {}",
        folders.join(" or ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_codec_says_what_to_do() {
        let message = missing(&[PathBuf::from("/opt/lib"), PathBuf::from("/usr/lib")]);
        assert!(message.contains("not in /opt/lib or /usr/lib"), "{message}");
        assert!(message.contains("scripts/install-codecs"), "{message}");
    }
}
