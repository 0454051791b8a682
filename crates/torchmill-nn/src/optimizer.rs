//! `[train.optimizer]`: optimizers with the names, arguments, defaults and updates of
//! torch.optim. Each is a file in `optimizer/` and a row of [`OPTIMIZERS`].
//!
//! They work on plain tensors, so that their state can be saved, unlike tch's.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{TchError, Tensor, no_grad};
use torchmill::recipe::{ReadType, Train, Typed};
use torchmill::{Error, Result};

use crate::groups::Group;
use crate::state::OptimizerKind;
use crate::torch_error;

/// Declares each optimizer's file and adds it to the table of optimizers. `cargo fmt` does
/// not see these files, `make fmt` does.
macro_rules! optimizers {
    ($($name:literal => $file:ident :: $rule:ident),* $(,)?) => {
        $(mod $file;)*

        /// Every optimizer, by name.
        const OPTIMIZERS: &[OptimizerType] = &[$(row::<$file::$rule>($name)),*];
    };
}

optimizers! {
    "SGD" => sgd::Sgd,
    "Adam" => adam::Adam,
    "AdamW" => adamw::AdamW,
    "RMSprop" => rmsprop::RMSprop,
    "Muon" => muon::Muon,
}

/// An update rule with its arguments.
pub trait UpdateRule: fmt::Debug {
    /// Fails with a usage error if an argument is out of range.
    fn check(&self) -> Result<()>;

    /// Fails with a usage error if the rule cannot train a parameter of this shape.
    fn check_shape(&self, _shape: &[i64]) -> Result<()> {
        Ok(())
    }

    /// The learning rate of parameters whose group sets none.
    fn lr(&self) -> f64;

    /// The weight decay of parameters whose group sets none.
    fn weight_decay(&self) -> f64;

    /// Sets the value that OneCycleLR cycles: the momentum, or Adam's first beta. Before
    /// the first step, it may affect which buffers are kept.
    fn set_momentum(&mut self, momentum: f64);

    /// The buffers that the rule may keep for each parameter, in the order of
    /// [`Update::state`].
    fn buffers(&self) -> Vec<Buffer>;

    /// Does step number `step`, from 1, for the parameters of one group. Autograd is off.
    fn update(
        &self,
        group: &Group,
        step: u64,
        updates: &mut [Update],
    ) -> Result<(), TchError>;
}

/// A buffer that an update rule may keep for each parameter.
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    /// Its name in torch.optim.
    pub name: &'static str,
    /// Whether it is kept with the current arguments.
    pub kept: bool,
    /// The argument that decides whether it is kept; `type` if it is always kept.
    pub argument: &'static str,
}

impl Buffer {
    /// A buffer that is always kept.
    const fn always(name: &'static str) -> Self {
        Self { name, kept: true, argument: "type" }
    }
}

/// A parameter and what a step needs for it.
pub struct Update<'a> {
    /// Changed in place.
    pub parameter: &'a Tensor,
    /// Has the parameter's shape.
    pub gradient: &'a Tensor,
    /// The buffers that are kept, changed in place. They are zeros before the first step.
    pub state: &'a mut Vec<Tensor>,
}

impl<'u> Update<'u> {
    /// The same in the form that the fused kernels accept.
    fn parts<'a>(
        updates: &'a mut [Self],
    ) -> impl Iterator<Item = ((&'a Tensor, &'a Tensor), &'a mut Vec<Tensor>)>
    where
        'u: 'a,
    {
        updates.iter_mut().map(|u| ((u.parameter, u.gradient), &mut *u.state))
    }
}

/// A row of the table of optimizers.
struct OptimizerType {
    name: &'static str,
    read: ReadType<dyn UpdateRule>,
}

const fn row<R>(name: &'static str) -> OptimizerType
where
    R: UpdateRule + Serialize + DeserializeOwned + 'static,
{
    OptimizerType {
        name,
        read: |typed| {
            let (rule, resolved) = typed.read::<R>(TABLE)?;
            Ok((Box::new(rule), resolved))
        },
    }
}

/// The optimizer's table in the recipe.
const TABLE: &str = "train.optimizer";

/// Parses and checks an optimizer. Also returns its recipe table with all defaults filled
/// in.
pub fn read(typed: &Typed) -> Result<(Box<dyn UpdateRule>, Typed)> {
    let Some(found) = OPTIMIZERS.iter().find(|o| o.name == typed.name) else {
        return Err(typed.unknown(TABLE, OPTIMIZERS.iter().map(|o| o.name)));
    };
    let (rule, resolved) = (found.read)(typed)?;
    rule.check()?;
    Ok((rule, resolved))
}

/// A trained parameter and all that is kept for it.
#[derive(Debug)]
pub struct Param {
    /// The parameter: a shallow clone of the network's tensor.
    pub tensor: Tensor,
    /// The index of its group.
    pub group: usize,
    /// The optimizer's buffers; empty before the first step.
    pub state: Vec<Tensor>,
    /// The moving average, if the recipe has one.
    pub average: Option<Tensor>,
}

impl Param {
    /// A parameter before its first step, without an average.
    pub fn new(tensor: Tensor, group: usize) -> Self {
        Self { tensor, group, state: Vec::new(), average: None }
    }
}

/// An update rule and its place in the recipe.
#[derive(Debug)]
struct PlacedRule {
    /// Its name, such as `SGD`.
    name: String,
    rule: Box<dyn UpdateRule>,
    /// The pattern of the `[[train.group]]` that it belongs to; `None` for
    /// `[train.optimizer]`.
    pattern: Option<String>,
}

impl PlacedRule {
    fn new(typed: &Typed, pattern: Option<&str>) -> Result<Self> {
        let read = read(typed);
        let (rule, _) = match pattern {
            Some(pattern) => {
                read.map_err(|e| e.within(format_args!("[[train.group]] {pattern}")))?
            }
            None => read?,
        };
        let pattern = pattern.map(str::to_owned);
        Ok(Self { name: typed.name.clone(), rule, pattern })
    }

    /// The optimizer's name and the buffers that it keeps.
    fn kind(&self) -> OptimizerKind {
        let kept = self.rule.buffers().into_iter().filter(|buffer| buffer.kept);
        let buffers = kept.map(|buffer| buffer.name.to_owned()).collect();
        OptimizerKind { optimizer: self.name.clone(), buffers }
    }

    /// Fails if the rule that trained before kept other buffers. The message names the
    /// argument that makes the difference.
    fn check_continues(&self, saved: &OptimizerKind) -> Result<()> {
        let own = self.kind();
        if *saved == own {
            return Ok(());
        }
        let mut argument = "type";
        if saved.optimizer == own.optimizer {
            let buffers = self.rule.buffers();
            let differs =
                |b: &&Buffer| b.kept != saved.buffers.iter().any(|s| s == b.name);
            argument = buffers.iter().find(differs).map_or("type", |b| b.argument);
        }
        let place = match &self.pattern {
            Some(pattern) => format!("optimizer.{argument} of [[train.group]] {pattern}"),
            None => format!("train.optimizer.{argument}"),
        };
        Err(Error::usage(format_args!(
            "was saved by {saved}, which {own} cannot go on from: leave {place} as it is \
             in the run's config.toml, or branch off with a new --run and --init"
        )))
    }
}

/// The update rules of a recipe: first that of `[train.optimizer]`, then those of the
/// groups that name one, in order.
#[derive(Debug)]
pub struct Rules(Vec<PlacedRule>);

impl Rules {
    /// Parses and checks the update rules.
    pub fn read(train: &Train) -> Result<Self> {
        let mut rules = vec![PlacedRule::new(&train.optimizer, None)?];
        for group in &train.groups {
            if let Some(typed) = &group.optimizer {
                rules.push(PlacedRule::new(typed, Some(&group.pattern))?);
            }
        }
        Ok(Self(rules))
    }

    /// The default group of each rule: its learning rate and weight decay.
    pub fn settings(&self) -> Vec<Group> {
        let mut settings = Vec::new();
        for (index, PlacedRule { rule, .. }) in self.0.iter().enumerate() {
            let lr = rule.lr();
            let weight_decay = rule.weight_decay();
            settings.push(Group { lr, weight_decay, rule: index });
        }
        settings
    }
}

/// The optimizer of a training run.
#[derive(Debug)]
pub struct Optimizer {
    rules: Rules,
    groups: Vec<Group>,
    /// Each group's learning rate for the next step.
    rates: Vec<f64>,
    steps: u64,
}

impl Optimizer {
    /// An optimizer before its first step. The groups' learning rates and weight decays
    /// override those of the rules.
    pub fn new(rules: Rules, groups: Vec<Group>) -> Self {
        let rates = groups.iter().map(|group| group.lr).collect();
        Self { rules, groups, rates, steps: 0 }
    }

    /// Fails if the rule of the parameter's group cannot train it.
    pub fn check_parameter(&self, name: &str, param: &Param) -> Result<()> {
        let shape = param.tensor.size();
        let checked = self.rule_of(param).rule.check_shape(&shape);
        checked.map_err(|e| e.within(format_args!("{name} {shape:?}")))
    }

    fn rule_of(&self, param: &Param) -> &PlacedRule {
        &self.rules.0[self.groups[param.group].rule]
    }

    /// The name and the buffers of each rule.
    pub fn kinds(&self) -> Vec<OptimizerKind> {
        self.rules.0.iter().map(PlacedRule::kind).collect()
    }

    /// The index in [`Optimizer::kinds`] of the rule that trains a parameter.
    pub fn kind_of(&self, param: &Param) -> usize {
        self.groups[param.group].rule
    }

    /// Fails if the rule that trained the parameter before kept other buffers. The
    /// message names the argument that makes the difference.
    pub fn check_continues(&self, param: &Param, saved: &OptimizerKind) -> Result<()> {
        self.rule_of(param).check_continues(saved)
    }

    /// Continues as after this number of steps.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// The parameter groups, with their learning rates before any schedule.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The number of steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The learning rate of the next step, for the first group.
    pub fn lr(&self) -> f64 {
        self.rates.first().copied().unwrap_or(f64::NAN)
    }

    /// Sets each group's learning rate for the next step.
    pub fn set_rates(&mut self, rates: Vec<f64>) {
        self.rates = rates;
    }

    /// Sets the momentum (or Adam's first beta) of the next step. It must not change from
    /// zero to nonzero after the first step, because the buffers depend on it.
    pub fn set_momentum(&mut self, momentum: f64) {
        for placed in &mut self.rules.0 {
            placed.rule.set_momentum(momentum);
        }
    }

    /// Does one step: changes the parameters in place by `gradients`, which are in the
    /// same order.
    pub fn step(&mut self, params: &mut [Param], gradients: &[Tensor]) -> Result<()> {
        self.steps += 1;
        if self.steps == 1 {
            let kinds = self.kinds();
            for param in params.iter_mut() {
                let kept = kinds[self.kind_of(param)].buffers.len();
                param.state = zeros(&param.tensor, kept).map_err(|e| torch_error(&e))?;
            }
        }
        for (index, group) in self.groups.iter().enumerate() {
            let mut updates = Vec::new();
            for (param, gradient) in params.iter_mut().zip(gradients) {
                if param.group == index {
                    updates.push(Update {
                        parameter: &param.tensor,
                        gradient,
                        state: &mut param.state,
                    });
                }
            }
            let group = Group { lr: self.rates[index], ..*group };
            let rule = &self.rules.0[group.rule].rule;
            no_grad(|| rule.update(&group, self.steps, &mut updates))
                .map_err(|e| torch_error(&e))?;
        }
        Ok(())
    }
}

fn zeros(like: &Tensor, count: usize) -> Result<Vec<Tensor>, TchError> {
    no_grad(|| (0..count).map(|_| like.f_zeros_like()).collect())
}

/// Whether a number is finite and at least 0.
fn is_valid(x: f64) -> bool {
    x.is_finite() && x >= 0.0
}

/// Fails if a learning rate is out of range.
fn check_lr(lr: f64) -> Result<()> {
    if is_valid(lr) {
        return Ok(());
    }
    torchmill::recipe::refuse("optimizer.lr", "must be a number from 0 up")
}

#[cfg(test)]
mod tests;
