//! `[train.optimizer]`: optimizers with the names, arguments, defaults and updates of
//! torch.optim. Each is a file in `optimizer/` and a row of [`OPTIMIZERS`].
//!
//! They work on plain tensors, so that their state can be saved: tch's own cannot.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{TchError, Tensor, no_grad};
use torchmill::recipe::{ReadType, Train, Typed};
use torchmill::{Error, Result};

use crate::groups::Group;
use crate::state::OptimizerKind;
use crate::torch_error;

/// Declares each optimizer's file and puts it into the table of optimizers.
macro_rules! optimizers {
    ($($name:literal => $file:ident :: $rule:ident),* $(,)?) => {
        $(mod $file;)*

        /// Every optimizer, by its name.
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
    /// Refuses arguments out of range with a usage error.
    fn check(&self) -> Result<()>;

    /// Refuses a parameter of a shape that the rule is not for, with a usage error.
    fn check_shape(&self, _shape: &[i64]) -> Result<()> {
        Ok(())
    }

    /// The learning rate of parameters without a group of their own.
    fn lr(&self) -> f64;

    /// The weight decay of parameters without a group of their own.
    fn weight_decay(&self) -> f64;

    /// Sets what OneCycleLR cycles: the momentum, or Adam's first beta. Called before
    /// the first step, it may decide which buffers are kept.
    fn set_momentum(&mut self, momentum: f64);

    /// The buffers that the rule may keep for each parameter, in their order in
    /// [`Update::state`].
    fn buffers(&self) -> Vec<Buffer>;

    /// Makes step number `step`, from 1, of the parameters of one group. Autograd is off.
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
    /// torch.optim's name for it.
    pub name: &'static str,
    /// Whether it is kept with the arguments as they are.
    pub kept: bool,
    /// The argument that decides this; `type` where it is always kept.
    pub argument: &'static str,
}

impl Buffer {
    /// A buffer that is always kept.
    const fn always(name: &'static str) -> Self {
        Self { name, kept: true, argument: "type" }
    }
}

/// A parameter in a step.
pub struct Update<'a> {
    /// Changed in place.
    pub parameter: &'a Tensor,
    /// Of the same shape.
    pub gradient: &'a Tensor,
    /// The buffers that are kept, changed in place; zeros before the first step.
    pub state: &'a mut Vec<Tensor>,
}

impl<'u> Update<'u> {
    /// As the fused kernels take them.
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

/// The recipe's table.
const TABLE: &str = "train.optimizer";

/// Reads and checks an optimizer. Returns with it the recipe's table with all defaults
/// written out.
pub fn read(typed: &Typed) -> Result<(Box<dyn UpdateRule>, Typed)> {
    let Some(found) = OPTIMIZERS.iter().find(|o| o.name == typed.name) else {
        return Err(typed.unknown(TABLE, OPTIMIZERS.iter().map(|o| o.name)));
    };
    let (rule, resolved) = (found.read)(typed)?;
    rule.check()?;
    Ok((rule, resolved))
}

/// A trained parameter with all that is kept for it.
#[derive(Debug)]
pub struct Param {
    /// The parameter itself: a shallow clone of the network's.
    pub tensor: Tensor,
    /// The index of its group.
    pub group: usize,
    /// The optimizer's buffers; none before the first step.
    pub state: Vec<Tensor>,
    /// Its moving average, where the recipe asks for one.
    pub average: Option<Tensor>,
}

impl Param {
    /// A parameter that no step has changed yet, without an average.
    pub fn new(tensor: Tensor, group: usize) -> Self {
        Self { tensor, group, state: Vec::new(), average: None }
    }
}

/// An update rule with its place in the recipe.
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

    /// Its name and the buffers that it keeps.
    fn kind(&self) -> OptimizerKind {
        let kept = self.rule.buffers().into_iter().filter(|buffer| buffer.kept);
        let buffers = kept.map(|buffer| buffer.name.to_owned()).collect();
        OptimizerKind { optimizer: self.name.clone(), buffers }
    }

    /// Refuses to continue from a rule that kept other buffers, with the argument that
    /// makes the difference.
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

/// The update rules of a recipe: that of `[train.optimizer]`, then those of the groups
/// that name one, in order.
#[derive(Debug)]
pub struct Rules(Vec<PlacedRule>);

impl Rules {
    /// Reads and checks them.
    pub fn read(train: &Train) -> Result<Self> {
        let mut rules = vec![PlacedRule::new(&train.optimizer, None)?];
        for group in &train.groups {
            if let Some(typed) = &group.optimizer {
                rules.push(PlacedRule::new(typed, Some(&group.pattern))?);
            }
        }
        Ok(Self(rules))
    }

    /// The settings of each rule's parameters, where nothing else says them.
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

/// An optimizer at work.
#[derive(Debug)]
pub struct Optimizer {
    rules: Rules,
    groups: Vec<Group>,
    /// Each group's learning rate at the next step.
    rates: Vec<f64>,
    steps: u64,
}

impl Optimizer {
    /// An optimizer that has not made a step yet. The groups' learning rates and weight
    /// decays take the place of the rules' own.
    pub fn new(rules: Rules, groups: Vec<Group>) -> Self {
        let rates = groups.iter().map(|group| group.lr).collect();
        Self { rules, groups, rates, steps: 0 }
    }

    /// Refuses a parameter that the rule of its group is not for.
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

    /// Refuses to continue a parameter from a rule that kept other buffers, with the
    /// argument that makes the difference.
    pub fn check_continues(&self, param: &Param, saved: &OptimizerKind) -> Result<()> {
        self.rule_of(param).check_continues(saved)
    }

    /// Continues after this many steps.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// The parameter groups, with their learning rates before any schedule.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// How many steps have been made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The learning rate of the next step; the first group's where there are several.
    pub fn lr(&self) -> f64 {
        self.rates.first().copied().unwrap_or(f64::NAN)
    }

    /// Sets each group's learning rate at the next step.
    pub fn set_rates(&mut self, rates: Vec<f64>) {
        self.rates = rates;
    }

    /// Sets the momentum of the next step (Adam's first beta). It must not be zero before
    /// the first step and something else later, since the buffers depend on it.
    pub fn set_momentum(&mut self, momentum: f64) {
        for placed in &mut self.rules.0 {
            placed.rule.set_momentum(momentum);
        }
    }

    /// One step: changes the parameters in place by their `gradients`, which are in the
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

/// A number from 0 up.
fn is_valid(x: f64) -> bool {
    x.is_finite() && x >= 0.0
}

/// Refuses a learning rate out of range.
fn check_lr(lr: f64) -> Result<()> {
    if is_valid(lr) {
        return Ok(());
    }
    torchmill::recipe::refuse("optimizer.lr", "must be a number from 0 up")
}

#[cfg(test)]
mod tests;
