//! Suggests what was probably meant by a misspelt name: data sets, transforms, layers,
//! keys, tags, classes.

/// The name that was probably meant, if one is close enough (Damerau-Levenshtein
/// distance, ignoring case).
pub fn nearest<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |k: &str| strsim::damerau_levenshtein(&name, &k.to_lowercase());
    let near = known.into_iter().min_by_key(|k| distance(k))?;
    let (wrong, longer) =
        (distance(near), near.chars().count().max(name.chars().count()));
    // Up to a third of the letters may be wrong; with more it is another word, and so is
    // another single letter.
    (wrong < longer && wrong <= longer.div_ceil(3)).then_some(near)
}

/// ` (did you mean NAME?)`, or nothing if no name is close: for the end of a message.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known)
        .map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

/// serde's message in plain words, with a suggestion if it is about an unknown key or
/// variant. serde puts the names between backquotes, the unknown one first: ``unknown
/// field `epoch`, expected `epochs` or `seed` ``.
pub fn in_message(message: &str) -> String {
    if let (true, Some((found, expected))) =
        (message.starts_with("invalid "), message.rsplit_once(", expected "))
    {
        return format!("{found}, expected {}", plain(expected));
    }
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match names.split_first() {
        Some((unknown, known)) if message.starts_with("unknown ") => {
            format!("{message}{}", did_you_mean(unknown, known.iter().copied()))
        }
        _ => message.to_owned(),
    }
}

/// The name that TOML has for a type that serde names.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        _ if expected.starts_with("struct ")
            || expected.starts_with("internally tagged enum ") =>
        {
            "a table"
        }
        _ if expected.starts_with("enum ") => "a name",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let known = ["cifar10", "cifar100", "mnist"];
        assert_eq!(nearest("Cifar-10", known), Some("cifar10"));
        assert_eq!(nearest("mnsit", known), Some("mnist"));
        assert_eq!((nearest("imagenet", known), nearest("x", ["\u{3b1}"])), (None, None));
        assert_eq!((nearest("x", []), nearest("x", ["a"])), (None, None));
        assert_eq!(did_you_mean("minst", known), " (did you mean mnist?)");
    }

    #[test]
    fn serdes_messages_get_a_suggestion() {
        let message =
            "unknown field `epoch`, expected one of `epochs`, `seed`, `drop_last`";
        assert_eq!(in_message(message), format!("{message} (did you mean epochs?)"));
        for (message, plain) in [
            (
                "invalid type: integer `3`, expected struct Train",
                "invalid type: integer `3`, expected a table",
            ),
            (
                "invalid value: integer `-3`, expected u64",
                "invalid value: integer `-3`, expected a whole number of at least 0",
            ),
            (
                "invalid type: string \"x, expected y\", expected f64",
                "invalid type: string \"x, expected y\", expected a number",
            ),
            (
                "invalid length 3, expected an array of length 2",
                "invalid length 3, expected an array of length 2",
            ),
        ] {
            assert_eq!(in_message(message), plain);
        }
        for unchanged in [
            "missing field `epochs`",
            "unknown field `lr`, there are no fields",
            "expected `=`",
        ] {
            assert_eq!(in_message(unchanged), unchanged);
        }
    }
}
