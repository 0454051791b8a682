//! Self-contained web pages: data, style and script are in one file, and nothing else is
//! loaded.
//!
//! The pages of `scalars`, `evaluate` and `train` share a style (`html/page.css`) and a
//! script (`html/page.js`).

use std::path::Path;

use serde::Serialize;

use crate::{Error, Result, atomic, cli};

/// The style of every page: colours for light and dark, text, controls, tables, curves.
pub const STYLE: &str = include_str!("html/page.css");
/// The code that the scripts of several pages share.
pub const SCRIPT: &str = include_str!("html/page.js");

/// Fills a page: `/*STYLE*/`, `/*SCRIPT*/` and `/*DATA*/`, each of which occurs once, are
/// replaced by [`STYLE`], [`SCRIPT`] and the data as JSON. JSON has no NaN or infinity:
/// they become `null`.
///
/// # Errors
/// If the data cannot be written as JSON.
pub fn fill(page: &str, data: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(data)
        .map_err(|e| Error::failed(e).within("cannot write the page"))?;
    // In a script element, `</` could end it and `<!--` would change how it is parsed.
    let json = json.replace('<', "\\u003c");
    let page = page.replacen("/*STYLE*/", STYLE, 1).replacen("/*SCRIPT*/", SCRIPT, 1);
    Ok(page.replacen("/*DATA*/", &json, 1))
}

/// Writes a page to a file, or to standard output for `-`.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, page: &str) -> Result<()> {
    if path == Path::new("-") {
        cli::print(page.as_bytes())
    } else {
        atomic::write(path, page.as_bytes())
    }
}

/// Escapes the characters that have a meaning in HTML and SVG.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_the_script_and_is_not_taken_for_a_placeholder() {
        let template = "<style>/*STYLE*/</style><script>/*SCRIPT*/\n/*DATA*/</script>";
        let page = fill(template, &["</script><!-- /*DATA*/", "/*STYLE*/"]).unwrap();
        let data = page.rsplit('\n').next().unwrap();
        let expected = r#"["\u003c/script>\u003c!-- /*DATA*/","/*STYLE*/"]</script>"#;
        assert_eq!(data, expected);
        assert!(page.contains(STYLE) && page.contains(SCRIPT));
        assert_eq!(fill("/*DATA*/", &[f64::NAN]).unwrap(), "[null]");
    }

    #[test]
    fn nothing_is_loaded() {
        for text in [STYLE, SCRIPT] {
            let others = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!others.contains("://") && !others.contains("url("), "{others}");
            assert!(!others.contains("@import"), "{others}");
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a b=\"&\">"), "&lt;a b=&quot;&amp;&quot;&gt;");
    }
}
