//! A recipe: what is read can be written, and reads back equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torchmill::recipe::Recipe;

fuzz_target!(|text: &str| {
    if let Ok(recipe) = Recipe::parse(text) {
        let text = recipe.to_toml().unwrap();
        assert_eq!(Recipe::parse(&text).unwrap(), recipe);
    }
});
