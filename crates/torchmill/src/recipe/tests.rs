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
    assert!(layer.contains("unknown variant `Linaer`") && layer.starts_with("line 5"), "{layer}");
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

fn model(keys: &str) -> Result<Model> {
    Recipe::parse(&format!("name = \"x\"\n[model]\n{keys}\n")).map(|r| r.model)
}

#[test]
fn architectures_write_themselves_out_and_survive_a_round_trip() {
    for architecture in &ARCHITECTURES {
        let short = model(&format!("architecture = \"{}\"", architecture.name)).unwrap();
        let long = short.structure([3, 224, 224]).unwrap();
        assert!(!long.layers.is_empty(), "{}", architecture.name);
        let text = toml::to_string(&long).unwrap();
        assert_eq!(toml::from_str::<Model>(&text).unwrap(), long, "{}", architecture.name);
    }
}

#[test]
fn architectures_refuse_what_they_do_not_have() {
    let refused = |keys: &str| model(keys).unwrap_err().to_string();
    assert!(refused("architecture = \"resnet19\"").contains("there are article, lenet5, resnet18"));
    assert!(
        refused("architecture = \"vgg11_bn\"\nstem = \"cifar\"").contains("vgg11_bn has no option `stem`")
    );
    assert!(refused("stem = \"cifar\"\nlayer = [{type = \"Flatten\"}]").contains("there is none"));
    assert!(refused("architecture = \"lenet5\"\nlayer = [{type = \"Flatten\"}]").contains("has both"));
    let odd = model("architecture = \"vit_tiny\"").unwrap();
    assert!(odd.written_out([3, 30, 32]).unwrap_err().to_string().contains("30 x 32"));
}

#[test]
fn misspelt_arguments_of_layers_with_a_name_are_refused() {
    let error = |layer: &str| model(&format!("layer = [{layer}]")).unwrap_err().to_string();
    assert!(error("{name = \"a\", type = \"ReLU\", slope = 1}").contains("unknown field `slope`"));
    assert!(error("{name = \"a\", type = \"Conv2d\", out = 1}").contains("unknown field `out`"));
}
