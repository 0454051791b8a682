//! `[train.optimizer]`: optimizers with the names, arguments, defaults and updates of
//! torch.optim. Each is a file in `optimizer/` and a row of [`OPTIMIZERS`].
//!
//! They work on plain tensors, so that their state can be saved, unlike tch's.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, TchError, Tensor, no_grad};
use torchmill::recipe::{ReadType, Train, Typed};
use torchmill::{Error, Result};

use crate::groups::Group;
use crate::state::OptimizerKind;
use crate::tensor::f_copy;
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

    /// Does a step for the parameters of one group. Autograd is off.
    fn update(
        &self,
        group: &Group,
        step: &Step,
        updates: &mut [Update],
    ) -> Result<(), TchError>;

    /// Whether `update` changes nothing if [`Step::overflow`] is 1. For other rules, the
    /// optimizer undoes the update.
    fn heeds_overflow(&self) -> bool {
        false
    }
}

/// The number of a step, and whether it is done.
#[derive(Debug)]
pub struct Step {
    /// The number of steps that were begun, including this one.
    begun: u64,
    /// How many of those before this one were skipped: a float32 scalar on the device.
    /// Undefined if none was.
    skipped: Tensor,
    /// 1 if this step is skipped because gradients overflowed in fp16, otherwise 0: a
    /// float32 scalar on the device. Undefined if it cannot be skipped, as in the first.
    overflow: Tensor,
}

impl Step {
    fn is_first(&self) -> bool {
        self.begun == 1
    }

    /// The number of the step among those that are done, from 1: a float32 scalar on the
    /// device. Does not wait for the device.
    fn number(&self, device: Device) -> Result<Tensor, TchError> {
        let mut number = Tensor::f_zeros([], (Kind::Float, device))?;
        let _ = number.f_fill_(self.begun as f64)?;
        if self.skipped.defined() {
            let _ = number.f_sub_(&self.skipped)?;
        }
        Ok(number)
    }
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
    /// The tensors that a step changes: the parameter and the buffers.
    fn changed(&self) -> Vec<Tensor> {
        let mut changed = vec![self.parameter.shallow_clone()];
        for buffer in &*self.state {
            changed.push(buffer.shallow_clone());
        }
        changed
    }

    /// Copies of these tensors.
    fn copy(&self) -> Result<Vec<Tensor>, TchError> {
        self.changed().iter().map(f_copy).collect()
    }

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
    /// The number of steps that were begun. The first was not skipped.
    begun: u64,
    /// How many of them were skipped, as in [`Step`].
    skipped: Tensor,
}

impl Optimizer {
    /// An optimizer before its first step. The groups' learning rates and weight decays
    /// override those of the rules.
    pub fn new(rules: Rules, groups: Vec<Group>) -> Self {
        let rates = groups.iter().map(|group| group.lr).collect();
        Self { rules, groups, rates, begun: 0, skipped: Tensor::new() }
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
        self.begun = steps;
        self.skipped = Tensor::new();
    }

    /// The parameter groups, with their learning rates before any schedule.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The number of steps so far, without those that were skipped. Waits for the device
    /// if steps may have been.
    pub fn steps(&self) -> Result<u64> {
        if !self.skipped.defined() {
            return Ok(self.begun);
        }
        let skipped = self.skipped.f_double_value(&[]).map_err(|e| torch_error(&e))?;
        Ok(self.begun - skipped as u64)
    }

    /// Whether exactly one step has been begun.
    pub fn is_after_first(&self) -> bool {
        self.begun == 1
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
    ///
    /// If `overflow`, a float32 scalar on the device, is 1, the step is skipped:
    /// parameters and buffers stay as they are. Before the first step this waits for the
    /// flag, and returns false if the step is skipped. All later ones return true.
    pub fn step(
        &mut self,
        params: &mut [Param],
        gradients: &[Tensor],
        overflow: Option<&Tensor>,
    ) -> Result<bool> {
        no_grad(|| self.try_step(params, gradients, overflow))
            .map_err(|e| torch_error(&e))
    }

    fn try_step(
        &mut self,
        params: &mut [Param],
        gradients: &[Tensor],
        overflow: Option<&Tensor>,
    ) -> Result<bool, TchError> {
        let mut overflow = overflow.map_or_else(Tensor::new, Tensor::shallow_clone);
        if self.begun == 0 {
            // The first step differs from the others, so the flag must be known.
            if overflow.defined() && overflow.f_double_value(&[])? != 0.0 {
                return Ok(false);
            }
            overflow = Tensor::new();
            self.make_buffers(params)?;
        }
        self.begun += 1;
        let step =
            Step { begun: self.begun, skipped: self.skipped.shallow_clone(), overflow };
        self.update_groups(params, gradients, &step)?;
        if step.overflow.defined() {
            self.skipped = if step.skipped.defined() {
                step.skipped.f_add(&step.overflow)?
            } else {
                step.overflow
            };
        }
        Ok(true)
    }

    fn make_buffers(&self, params: &mut [Param]) -> Result<(), TchError> {
        let kinds = self.kinds();
        for param in params {
            let kept = kinds[self.kind_of(param)].buffers.len();
            param.state.clear();
            for _ in 0..kept {
                param.state.push(param.tensor.f_zeros_like()?);
            }
        }
        Ok(())
    }

    fn update_groups(
        &self,
        params: &mut [Param],
        gradients: &[Tensor],
        step: &Step,
    ) -> Result<(), TchError> {
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
            let rule = &*self.rules.0[group.rule].rule;
            if step.overflow.defined() && !rule.heeds_overflow() {
                update_or_undo(rule, &group, step, &mut updates)?;
            } else {
                rule.update(&group, step, &mut updates)?;
            }
        }
        Ok(())
    }
}

/// Does a step of a rule that ignores the overflow, and undoes it if there is one.
/// GradScaler waits for the flag instead.
fn update_or_undo(
    rule: &dyn UpdateRule,
    group: &Group,
    step: &Step,
    updates: &mut [Update],
) -> Result<(), TchError> {
    let is_skipped = step.overflow.f_to_kind(Kind::Bool)?;
    // One parameter at a time, because of the memory for the copies.
    for i in 0..updates.len() {
        let before = updates[i].copy()?;
        rule.update(group, step, &mut updates[i..=i])?;
        for (changed, before) in updates[i].changed().iter_mut().zip(&before) {
            let kept = before.f_where_self(&is_skipped, changed)?;
            changed.f_copy_(&kept)?;
        }
    }
    Ok(())
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
