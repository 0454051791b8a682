//! Recipes: what is accepted, what is refused and how.

use super::*;

const SMALL: &str = r#"
name = "small"
[[model.layer]]
type = "Flatten"
[[model.layer]]
type = "Linear"
"#;

#[test]
fn built_in_recipes_parse_and_survive_a_round_trip() {
    for name in names() {
        let recipe = load(name).unwrap();
        assert_eq!(recipe.name, name);
        assert_eq!(Recipe::parse(&recipe.to_toml().unwrap()).unwrap(), recipe);
    }
}

#[test]
fn what_is_left_out_is_the_articles() {
    assert_eq!(Recipe::parse(SMALL).unwrap().train, load("article").unwrap().train);
}

fn error(text: &str) -> String {
    Recipe::parse(text).unwrap_err().to_string()
}

#[test]
fn misspelt_keys_and_layers_are_named_with_their_line() {
    let key = error(&format!("{SMALL}\n[train]\nepochs = 2\nlearning_rate = 0.1\n"));
    assert!(key.starts_with("line 10: unknown field `learning_rate`"), "{key}");
    assert!(!key.contains("did you mean"), "{key}");
    let layer = error(&SMALL.replace("Linear", "Linaer"));
    assert!(layer.contains("unknown variant `Linaer`") && layer.starts_with("line 6"), "{layer}");
    assert!(layer.ends_with("(did you mean Linear?)"), "{layer}");
    let argument = error(&SMALL.replace("type = \"Linear\"", "type = \"Linear\"\nout_feature = 3"));
    assert!(argument.contains("unknown field `out_feature`"), "{argument}");
    assert!(argument.ends_with("(did you mean out_features?)"), "{argument}");
}

#[test]
fn impossible_values_are_usage_errors() {
    for bad in ["batch_size = 0", "optimizer = { type = \"SGD\", lr = -1.0 }", "epochs = -1"] {
        let result = Recipe::parse(&format!("{SMALL}\n[train]\n{bad}\n"));
        assert_eq!(result.unwrap_err().exit_status(), 2, "{bad}");
    }
    assert!(error("name = \"x\"\n[model]\nlayer = []\n").contains("has no layers"));
}
