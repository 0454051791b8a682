//! Which learning rate and weight decay each parameter has: torch.optim's parameter
//! groups.

use tch::Tensor;
use torchmill::recipe::{NoDecay, Optimizer, Train};
use torchmill::{Error, Result};

use crate::patterns::Patterns;

/// The settings that parameters may differ in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// The learning rate before any schedule.
    pub lr: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

/// The groups, and which one each parameter belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// Different from one another, none without a parameter; the optimizer's own comes
    /// first, where any has it.
    pub groups: Vec<Group>,
    /// For each parameter, the index of its group.
    pub of: Vec<usize>,
}

impl Groups {
    /// One group for `parameters` of them, with the optimizer's own settings.
    pub fn one(settings: &Optimizer, parameters: usize) -> Self {
        let group = Group { lr: settings.lr(), weight_decay: settings.weight_decay() };
        Self { groups: vec![group], of: vec![0; parameters] }
    }

    /// Sorts named parameters into groups. The first `[[train.group]]` whose pattern
    /// matches a name counts, and `no_decay` above its weight decay. A pattern that
    /// matches no name, or those of `frozen` parameters alone, is a usage error.
    pub fn new(
        train: &Train,
        parameters: &[(&str, &Tensor)],
        frozen: &[&str],
    ) -> Result<Self> {
        let mut groups = Self::one(&train.optimizer, 0);
        let own = groups.groups[0];
        let patterns = train
            .groups
            .iter()
            .map(|g| Patterns::new([&g.pattern]))
            .collect::<Result<Vec<_>>>()?;
        let idle = |patterns: &Patterns| {
            patterns.idle(parameters.iter().map(|p| p.0)).map(str::to_owned)
        };
        if let Some(idle) = patterns.iter().find_map(idle) {
            if let Some(frozen) = frozen
                .iter()
                .find(|name| Patterns::new([&idle]).is_ok_and(|p| p.matches(name)))
            {
                return Err(Error::usage(format_args!(
                    "[[train.group]] pattern `{idle}` fits frozen parameters alone, such as {frozen}: leave the group out, or see freeze"
                )));
            }
            return Err(Error::usage(format_args!(
                "[[train.group]] pattern `{idle}` fits no trained parameter, such as {}",
                parameters.first().map_or("there are none", |p| p.0)
            )));
        }
        for (name, tensor) in parameters {
            let asked =
                patterns.iter().position(|p| p.matches(name)).map(|i| &train.groups[i]);
            let mut group = Group {
                lr: asked.and_then(|g| g.lr).unwrap_or(own.lr),
                weight_decay: asked
                    .and_then(|g| g.weight_decay)
                    .unwrap_or(own.weight_decay),
            };
            let exempt = |what: &NoDecay| match what {
                NoDecay::Bias => is_bias(name),
                NoDecay::Norm => is_norm(name, tensor, parameters),
            };
            if train.no_decay.iter().any(exempt) {
                group.weight_decay = 0.0;
            }
            let at = groups
                .groups
                .iter()
                .position(|g| *g == group)
                .unwrap_or(groups.groups.len());
            if at == groups.groups.len() {
                groups.groups.push(group);
            }
            groups.of.push(at);
        }
        if !groups.of.contains(&0) {
            groups.groups.remove(0);
            groups.of.iter_mut().for_each(|at| *at -= 1);
        }
        Ok(groups)
    }
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
    use torchmill::recipe;

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
        train.optimizer = Optimizer::AdamW {
            lr: 0.1,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.5,
            amsgrad: false,
        };
        train.groups = vec![recipe::Group {
            pattern: "fc.*".into(),
            lr: Some(1.0),
            weight_decay: None,
        }];
        let found = Groups::new(&train, &parameters, &[]).unwrap();
        let decays = |g: &Groups| {
            g.of.iter().map(|&i| g.groups[i].weight_decay).collect::<Vec<_>>()
        };
        assert_eq!(decays(&found), [0.5, 0.5, 0.0, 0.0, 0.5]);
        assert_eq!(found.groups[found.of[4]].lr, 1.0);
        train.no_decay = vec![NoDecay::Bias];
        assert_eq!(
            decays(&Groups::new(&train, &parameters, &[]).unwrap()),
            [0.5, 0.0, 0.5, 0.0, 0.5]
        );
        let mut all = train.clone();
        all.groups[0].pattern = "*".into();
        let found = Groups::new(&all, &parameters, &[]).unwrap();
        let rates: Vec<f64> = found.groups.iter().map(|g| g.lr).collect();
        assert_eq!((rates, found.of), (vec![1.0, 1.0], vec![0, 1, 0, 1, 0]));
        let attention: Vec<(&str, &Tensor)> =
            ["fc.in_proj_weight", "fc.in_proj_bias", "fc.out_proj.bias"]
                .into_iter()
                .zip([&tensors[4], &tensors[1], &tensors[1]])
                .collect();
        assert_eq!(
            decays(&Groups::new(&train, &attention, &[]).unwrap()),
            [0.5, 0.0, 0.0]
        );
        train.groups[0].pattern = "head".into();
        let error = Groups::new(&train, &parameters, &[]).unwrap_err();
        assert!(
            error.to_string().contains("`head` fits no trained parameter"),
            "{error}"
        );
        let error = Groups::new(&train, &parameters, &["head"]).unwrap_err();
        assert!(
            error.to_string().contains("`head` fits frozen parameters alone"),
            "{error}"
        );
    }
}
