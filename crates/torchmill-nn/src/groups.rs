//! The learning rate, weight decay and optimizer of each parameter: torch.optim's
//! parameter groups.

use tch::Tensor;
use torchmill::recipe::{NoDecay, Train};
use torchmill::{Error, Result};

use crate::patterns::Patterns;

/// The settings that the parameters of one group share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// The learning rate before any schedule.
    pub lr: f64,
    /// The weight decay.
    pub weight_decay: f64,
    /// The index of the update rule. 0 is `[train.optimizer]`. The others belong to the
    /// groups that name an optimizer, in order.
    pub rule: usize,
}

/// The groups, and the group of each parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// All different, and none empty. The group with the settings of `[train.optimizer]`
    /// comes first, if any parameter has those.
    pub groups: Vec<Group>,
    /// For each parameter, the index of its group.
    pub of: Vec<usize>,
}

impl Groups {
    /// Sorts named parameters into groups. `rules` has the settings of each update rule.
    /// The first `[[train.group]]` whose pattern matches a name applies, and `no_decay`
    /// overrides its weight decay. A pattern that matches no name, or only names of
    /// `frozen` parameters, is a usage error.
    pub fn new(
        train: &Train,
        rules: &[Group],
        parameters: &[(&str, &Tensor)],
        frozen: &[&str],
    ) -> Result<Self> {
        let mut choices = Vec::new();
        let mut used_rules = 0;
        for settings in &train.groups {
            let pattern = Patterns::new([&settings.pattern])?;
            check_used(&pattern, parameters, frozen)?;
            let mut group = rules[0];
            if settings.optimizer.is_some() {
                used_rules += 1;
                group = rules[used_rules];
            }
            group.lr = settings.lr.unwrap_or(group.lr);
            group.weight_decay = settings.weight_decay.unwrap_or(group.weight_decay);
            choices.push((pattern, group));
        }
        let mut found = Self { groups: vec![rules[0]], of: Vec::new() };
        for (name, tensor) in parameters {
            let choice = choices.iter().find(|(pattern, _)| pattern.matches(name));
            let mut group = choice.map_or(rules[0], |(_, group)| *group);
            let is_exempt = |kind: &NoDecay| match kind {
                NoDecay::Bias => is_bias(name),
                NoDecay::Norm => is_norm(name, tensor, parameters),
            };
            if train.no_decay.iter().any(is_exempt) {
                group.weight_decay = 0.0;
            }
            found.add(group);
        }
        if !found.of.contains(&0) {
            found.groups.remove(0);
            found.of.iter_mut().for_each(|index| *index -= 1);
        }
        Ok(found)
    }

    /// Adds a parameter with these settings.
    fn add(&mut self, group: Group) {
        let index = self.groups.iter().position(|g| *g == group);
        let index = index.unwrap_or_else(|| {
            self.groups.push(group);
            self.groups.len() - 1
        });
        self.of.push(index);
    }
}

/// Fails if a pattern matches no trained parameter.
fn check_used(
    pattern: &Patterns,
    parameters: &[(&str, &Tensor)],
    frozen: &[&str],
) -> Result<()> {
    let Some(idle) = pattern.idle(parameters.iter().map(|p| p.0)) else {
        return Ok(());
    };
    if let Some(frozen) = frozen.iter().find(|name| pattern.matches(name)) {
        return Err(Error::usage(format_args!(
            "[[train.group]] pattern `{idle}` fits only frozen parameters, such as \
             {frozen}: leave the group out, or see freeze"
        )));
    }
    Err(Error::usage(format_args!(
        "[[train.group]] pattern `{idle}` fits no trained parameter; one is {}",
        parameters.first().map_or("not there", |p| p.0)
    )))
}

/// `bias`, and MultiheadAttention's `in_proj_bias`.
fn is_bias(name: &str) -> bool {
    let own = name.rsplit('.').next().unwrap_or(name);
    own == "bias" || own.ends_with("_bias")
}

/// Convolutions and linear layers have weights of two or more dimensions, normalisations
/// of one.
fn is_norm(name: &str, tensor: &Tensor, parameters: &[(&str, &Tensor)]) -> bool {
    match name.strip_suffix("bias") {
        None => tensor.dim() <= 1,
        Some(module) => parameters.iter().any(|(other, t)| {
            other.strip_prefix(module) == Some("weight") && t.dim() <= 1
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use tch::{Device, Kind};
    use torchmill::recipe::{self, Typed};

    #[test]
    fn biases_norms_and_patterns_have_settings_of_their_own() {
        let shapes: [(&str, &[i64]); 5] = [
            ("0.weight", &[4, 3, 3, 3]),
            ("0.bias", &[4]),
            ("1.weight", &[4]),
            ("1.bias", &[4]),
            ("fc.weight", &[2, 4]),
        ];
        let tensors: Vec<Tensor> = shapes
            .iter()
            .map(|(_, s)| Tensor::zeros(*s, (Kind::Float, Device::Cpu)))
            .collect();
        let parameters: Vec<(&str, &Tensor)> =
            shapes.iter().map(|(n, _)| *n).zip(&tensors).collect();
        let mut train = Train { no_decay: vec![NoDecay::Norm], ..Train::default() };
        let own = [Group { lr: 0.1, weight_decay: 0.5, rule: 0 }];
        train.groups = vec![recipe::Group {
            pattern: "fc.*".into(),
            lr: Some(1.0),
            weight_decay: None,
            optimizer: None,
        }];
        let found = Groups::new(&train, &own, &parameters, &[]).unwrap();
        let decays = |g: &Groups| {
            g.of.iter().map(|&i| g.groups[i].weight_decay).collect::<Vec<_>>()
        };
        assert_eq!(decays(&found), [0.5, 0.5, 0.0, 0.0, 0.5]);
        assert_eq!(found.groups[found.of[4]].lr, 1.0);
        train.no_decay = vec![NoDecay::Bias];
        assert_eq!(
            decays(&Groups::new(&train, &own, &parameters, &[]).unwrap()),
            [0.5, 0.0, 0.5, 0.0, 0.5]
        );
        let mut all = train.clone();
        all.groups[0].pattern = "*".into();
        let found = Groups::new(&all, &own, &parameters, &[]).unwrap();
        let rates: Vec<f64> = found.groups.iter().map(|g| g.lr).collect();
        assert_eq!((rates, found.of), (vec![1.0, 1.0], vec![0, 1, 0, 1, 0]));
        let attention: Vec<(&str, &Tensor)> =
            ["fc.in_proj_weight", "fc.in_proj_bias", "fc.out_proj.bias"]
                .into_iter()
                .zip([&tensors[4], &tensors[1], &tensors[1]])
                .collect();
        assert_eq!(
            decays(&Groups::new(&train, &own, &attention, &[]).unwrap()),
            [0.5, 0.0, 0.0]
        );
        train.groups[0].optimizer = Some(Typed::new("Adam"));
        let adam = Group { lr: 0.2, weight_decay: 0.0, rule: 1 };
        let found = Groups::new(&train, &[own[0], adam], &parameters, &[]).unwrap();
        assert_eq!(found.groups[found.of[4]], Group { lr: 1.0, ..adam });
        assert_eq!(found.groups[found.of[0]], own[0]);
        train.groups[0].pattern = "head".into();
        let error = Groups::new(&train, &own, &parameters, &[]).unwrap_err();
        assert!(
            error.to_string().contains("`head` fits no trained parameter"),
            "{error}"
        );
        let error = Groups::new(&train, &own, &parameters, &["head"]).unwrap_err();
        assert!(
            error.to_string().contains("`head` fits only frozen parameters"),
            "{error}"
        );
    }
}
