//! A network with its loss, gradients, clipping, optimizer and moving average. The loop
//! around it is in `trainer`.

use tch::{Device, Kind, Reduction, TchError, Tensor, no_grad};
use torchmill::metric::MetricType;
use torchmill::recipe::Train;
use torchmill::schedule::{LearningRate, PlateauState, Position, ReduceLROnPlateau};
use torchmill::{Error, Result};
use torchmill_nn::distributed::{Group as ProcessGroup, Reducer};
use torchmill_nn::evaluation::Evaluation;
use torchmill_nn::groups::Groups;
use torchmill_nn::loader::Batch;
use torchmill_nn::loss::{self, Loss};
use torchmill_nn::model::{Mode, Model};
use torchmill_nn::optimizer::{Optimizer, Param, Rules};
use torchmill_nn::part_threads::{PartThreads, SingleThreads};
use torchmill_nn::scaler::{Scaler, ScalerState};
use torchmill_nn::state::{ParamState, SavedTensor, TrainState};
use torchmill_nn::tensor::{f_copy, number};
use torchmill_nn::{gradients, mix, progressive_resizing, torch_error};

/// The number of images per thread from which threads compute parts of a batch. With fewer,
/// adding the gradients of all parts costs more than is saved.
const SMALLEST_PART: usize = 16;

/// The number of parameters from which libtorch's threads do the optimizer's step if other
/// threads compute parts. With fewer, they are not used: they spin after each operation, and on
/// a busy machine take time from the threads that compute parts.
const MANY_PARAMETERS: usize = 1 << 20;

/// A network in training.
pub struct TrainingModel {
    pub network: Model,
    /// The dtype that the layers compute in.
    pub kind: Kind,
    pub loss: Box<dyn Loss>,
    settings: Train,
    classes: i64,
    /// The parameters that are not frozen.
    params: Vec<Param>,
    optimizer: Optimizer,
    learning_rate: LearningRate,
    plateau: Option<PlateauState>,
    scaler: Option<Scaler>,
    /// Whether [`TrainingModel::swap_average`] has exchanged the weights and their
    /// averages.
    is_swapped: bool,
    /// This process's rank, from 0.
    rank: u32,
    /// Threads that each compute a part of a batch. `None` if batches are not divided.
    part_threads: Option<PartThreads>,
    /// Whether there are few parameters, so that the optimizer's step is on one thread after
    /// other threads have computed parts.
    is_small: bool,
    /// Averages the gradients, if there are other processes.
    reducer: Option<Reducer>,
    /// Whether the reducer has seen a backward pass.
    is_rehearsed: bool,
}

/// A batch after progressive resizing, mixup and cutmix.
pub struct Mixed {
    images: Tensor,
    targets: Tensor,
    /// The sum of the images' weights in the mean loss; `None` if all weigh the same.
    pub weight: Option<Tensor>,
}

impl Mixed {
    /// Splits the batch into at most this many parts, as `torch.chunk` does.
    fn chunks(&self, chunks: i64) -> Result<Vec<Part>, TchError> {
        let count = self.images.size()[0] as f64;
        let images = self.images.f_chunk(chunks, 0)?;
        let targets = self.targets.f_chunk(chunks, 0)?;
        let mut parts = Vec::new();
        for (images, targets) in images.into_iter().zip(targets) {
            let share = match &self.weight {
                // A part whose images all have weight 0 has no mean of its own.
                Some(weight) => Share::Weight(weight.shallow_clone()),
                None => Share::Images(images.size()[0] as f64 / count),
            };
            parts.push(Part { images, targets, share });
        }
        Ok(parts)
    }
}

/// A part of a batch that is computed in one pass.
struct Part {
    images: Tensor,
    targets: Tensor,
    share: Share,
}

impl Part {
    /// Computes the network's outputs for the part and their loss, scaled so that the
    /// losses of all parts sum to the batch's mean.
    fn loss(&self, network: &Model, loss: &dyn Loss, kind: Kind) -> Result<Tensor> {
        let mode = Mode { training: true, kind };
        let outputs = network.forward(&self.images, mode);
        let outputs = outputs.map_err(|e| e.within("the forward pass"))?;
        let compute = |reduction| loss.compute(&outputs, &self.targets, reduction);
        let loss = match &self.share {
            Share::Whole => compute(Reduction::Mean),
            Share::Images(share) => compute(Reduction::Mean)
                .and_then(|mean| mean.f_mul(&number(*share as f32))),
            Share::Weight(weight) => compute(Reduction::None)
                .and_then(|each| each.f_sum(Kind::Float))
                .and_then(|sum| sum.f_div(weight)),
        };
        loss.map_err(|e| torch_error(&e).within("the loss"))
    }
}

/// The weight of a part's loss in the loss of its batch.
enum Share {
    /// The part is the whole batch.
    Whole,
    /// The part's mean loss is multiplied by its share of the images.
    Images(f64),
    /// The part's summed loss is divided by the weight of the batch.
    Weight(Tensor),
}

/// The gradients of a batch, summed over its parts.
#[derive(Default)]
pub struct Gradients {
    /// The batch's mean loss; `None` before the first part.
    loss: Option<Tensor>,
    /// One for each parameter.
    tensors: Vec<Tensor>,
    /// With fp16, whether a gradient overflowed and the step is skipped: a float32 scalar
    /// on the device, 1 or 0.
    overflow: Option<Tensor>,
}

impl Gradients {
    /// Adds the losses and gradients of a batch's parts, in this order.
    fn sum(parts: Vec<(Tensor, Vec<Tensor>)>) -> Result<Self, TchError> {
        let mut sum = Self::default();
        for (loss, gradients) in parts {
            sum.add(&loss, gradients)?;
        }
        Ok(sum)
    }

    /// Adds a part's loss and gradients.
    fn add(&mut self, loss: &Tensor, gradients: Vec<Tensor>) -> Result<(), TchError> {
        self.add_loss(loss)?;
        if self.tensors.is_empty() {
            self.tensors = gradients;
            return Ok(());
        }
        for (sum, gradient) in self.tensors.iter_mut().zip(&gradients) {
            *sum = sum.f_add(gradient)?;
        }
        Ok(())
    }

    /// Adds a part's loss to the batch's.
    fn add_loss(&mut self, loss: &Tensor) -> Result<(), TchError> {
        let loss = loss.f_detach()?;
        self.loss = Some(match &self.loss {
            Some(total) => total.f_add(&loss)?,
            None => loss,
        });
        Ok(())
    }
}

impl TrainingModel {
    /// Creates it from a network with its initial weights. Parameters with
    /// `requires_grad` false are frozen. `settings.loss` has numbers in place of
    /// `"balanced"`.
    pub fn new(
        network: Model,
        kind: Kind,
        settings: Train,
        classes: usize,
    ) -> Result<Self> {
        let device = network.device();
        let loss = loss::build(&settings.loss, classes, device)?;
        let mut scaler = None;
        if kind == Kind::Half {
            scaler = Some(Scaler::new(ScalerState::default(), device)?);
        }
        let rules = Rules::read(&settings)?;
        let groups = parameter_groups(&network, &settings, &rules)?;
        let mut optimizer = Optimizer::new(rules, groups.groups);
        let learning_rate = LearningRate::new(&settings)?;
        // The buffers depend on the first step's momentum, which a schedule may set.
        let start = Position { epoch: 0, epochs: 1, step: 0, steps: 1 };
        if let Some(momentum) = learning_rate.momentum(start) {
            optimizer.set_momentum(momentum);
        }
        let params = trained_params(&network, groups.of, settings.ema.is_some())?;
        for (named, param) in network.trained().zip(&params) {
            optimizer.check_parameter(&named.name, param)?;
        }
        let plateau = learning_rate.plateau().map(|_| {
            PlateauState::new(optimizer.groups().iter().map(|group| group.lr).collect())
        });
        Ok(Self {
            scaler,
            is_swapped: false,
            rank: 0,
            part_threads: None,
            is_small: network.parameter_count() < MANY_PARAMETERS,
            reducer: None,
            is_rehearsed: false,
            classes: classes as i64,
            network,
            kind,
            loss,
            settings,
            params,
            optimizer,
            learning_rate,
            plateau,
        })
    }

    /// Starts as many threads as libtorch has. They compute the parts of a batch at once,
    /// if its gradients are the sum of those of its parts. Not for a model that is
    /// connected to other processes: a reducer follows a single backward pass.
    pub fn start_part_threads(&mut self) -> Result<()> {
        let threads = tch::get_num_threads().max(1) as usize;
        if threads > 1 && is_divisible(&self.network, self.kind, &self.settings) {
            self.part_threads = Some(PartThreads::start(threads)?);
        }
        Ok(())
    }

    /// Connects it to the other processes of a group, with the collective operations of
    /// DistributedDataParallel's constructor in their order: compares the parameters'
    /// sizes, then copies rank 0's parameters and buffers to all. From now on, gradients
    /// are averaged over the processes.
    pub fn connect(&mut self, group: &ProcessGroup) -> Result<()> {
        let mut buffers = Vec::new();
        for named in self.network.buffers() {
            buffers.push(named.tensor.shallow_clone());
        }
        let params = self.network.parameter_tensors();
        self.reducer = Some(Reducer::new(group, params, buffers)?);
        self.rank = group.rank();
        self.share_weights(group)
    }

    /// Copies rank 0's parameters and buffers to all processes of a group.
    pub fn share_weights(&self, group: &ProcessGroup) -> Result<()> {
        let mut tensors = Vec::new();
        for named in self.network.state_dict() {
            tensors.push(named.tensor.shallow_clone());
        }
        group.broadcast(&tensors)
    }

    /// Copies rank 0's buffers to all processes, so that they evaluate the same network.
    pub fn share_buffers(&self) -> Result<()> {
        match &self.reducer {
            Some(reducer) => reducer.broadcast_buffers(),
            None => Ok(()),
        }
    }

    /// Whether there is a reducer that has not seen a backward pass yet.
    pub fn is_unrehearsed(&self) -> bool {
        self.reducer.is_some() && !self.is_rehearsed
    }

    /// Trains on a batch: computes its gradients and does the optimizer's step. Returns the
    /// batch's mean loss.
    pub fn train(&mut self, batch: &Mixed) -> Result<Option<Tensor>> {
        // On a small network's parameters, threads cost more than they gain.
        let mut single = None;
        let mut gradients = if let Some(threads) = self.part_threads_for(batch) {
            let guard = SingleThreads::start();
            let computed = self.compute_at_once(threads, &guard, batch)?;
            single = self.is_small.then_some(guard);
            Gradients::sum(computed).map_err(|e| torch_error(&e))?
        } else {
            self.compute_gradients(batch)?
        };
        self.step(&mut gradients)?;
        drop(single);
        Ok(gradients.loss)
    }

    /// The threads to compute the parts of this batch, if it is divided.
    fn part_threads_for(&self, batch: &Mixed) -> Option<&PartThreads> {
        let images = batch.images.size()[0] as usize;
        self.part_threads.as_ref().filter(|t| images >= SMALLEST_PART * t.count())
    }

    /// Computes the loss and the gradients of a batch. If the recipe divides it, its parts
    /// are computed one after the other.
    pub fn compute_gradients(&mut self, batch: &Mixed) -> Result<Gradients> {
        let mut gradients = Gradients::default();
        let parts = self.split(batch, self.settings.accumulate)?;
        for (i, part) in parts.iter().enumerate() {
            self.begin_part(i, parts.len())?;
            let loss = part.loss(&self.network, &*self.loss, self.kind)?;
            self.backward(&loss, &mut gradients, i + 1 == parts.len())?;
        }
        self.is_rehearsed = true;
        Ok(gradients)
    }

    /// Computes the losses and the gradients of a batch's parts at once.
    fn compute_at_once(
        &self,
        threads: &PartThreads,
        single: &SingleThreads,
        batch: &Mixed,
    ) -> Result<Vec<(Tensor, Vec<Tensor>)>> {
        let parts = self.split(batch, threads.count())?;
        let kind = self.kind;
        let model = (&self.network, &*self.loss);
        threads.compute(single, model, parts, |network, loss, part: Part| {
            let loss = part.loss(network, loss, kind)?;
            let params = network.parameter_tensors();
            let gradients = Tensor::f_run_backward(&[&loss], &params, false, false);
            let gradients =
                gradients.map_err(|e| torch_error(&e).within("the backward pass"))?;
            Ok((loss, gradients))
        })
    }

    /// Copies the buffers.
    pub fn copy_buffers(&self) -> Result<Vec<Tensor>> {
        let mut copies = Vec::new();
        for named in self.network.buffers() {
            copies.push(f_copy(&named.tensor).map_err(|e| torch_error(&e))?);
        }
        Ok(copies)
    }

    /// Restores the buffers from copies.
    pub fn restore_buffers(&mut self, copies: &[Tensor]) -> Result<()> {
        let restored = no_grad(|| {
            for (named, copy) in self.network.buffers().iter().zip(copies) {
                named.tensor.shallow_clone().f_copy_(copy)?;
            }
            Ok(())
        });
        restored.map_err(|e: TchError| torch_error(&e))
    }

    /// Sets the learning rates, the momentum and the dropout seed for the step at this
    /// position.
    pub fn begin_step(&mut self, at: Position) {
        let mut rates = match &self.plateau {
            Some(plateau) => plateau.rates().to_vec(),
            None => self.optimizer.groups().iter().map(|group| group.lr).collect(),
        };
        for rate in &mut rates {
            *rate = self.learning_rate.rate(*rate, at);
        }
        self.optimizer.set_rates(rates);
        if let Some(momentum) = self.learning_rate.momentum(at) {
            self.optimizer.set_momentum(momentum);
        }
        // Only dropout draws from libtorch's own generator. It is seeded by the step, so
        // a resumed run draws the same numbers. Each process draws different ones: the
        // generator only uses the low 32 bits of a seed, so the rank must change these.
        let seed = (self.settings.seed as i64).wrapping_mul(1_000_003) ^ at.step as i64;
        tch::manual_seed(seed ^ i64::from(self.rank.wrapping_mul(0x9e37_79b9)));
    }

    /// Overrides the schedule's learning rate for the next step. Groups keep their ratio
    /// to the first group's.
    pub fn set_lr(&mut self, lr: f64) {
        let first = self.optimizer.groups().first().map_or(0.0, |group| group.lr);
        let mut rates = Vec::new();
        for group in self.optimizer.groups() {
            let ratio = if first > 0.0 { group.lr / first } else { 1.0 };
            rates.push(ratio * lr);
        }
        self.optimizer.set_rates(rates);
    }

    /// Applies progressive resizing, mixup and cutmix to the batch, as the recipe configures.
    pub fn mix(&self, batch: &Batch, at: Position) -> Result<Mixed> {
        self.mix_batch(batch, at).map_err(|e| e.within("preparing the batch"))
    }

    fn mix_batch(&self, batch: &Batch, at: Position) -> Result<Mixed> {
        let images = match &self.settings.progressive_resizing {
            Some(resizing) => {
                let seed = (self.settings.seed, self.rank);
                progressive_resizing::resize(resizing, seed, &batch.images, at)?
            }
            None => batch.images.shallow_clone(),
        };
        let (images, targets) = mix::mix(
            &self.settings,
            (at.step, self.rank),
            &images,
            &batch.labels,
            self.classes,
        )?;
        let weight = match loss::weights(&*self.loss, &targets)? {
            Some(weights) => {
                Some(weights.f_sum(Kind::Float).map_err(|e| torch_error(&e))?)
            }
            None => None,
        };
        Ok(Mixed { images, targets, weight })
    }

    /// Splits a batch into at most this many parts.
    fn split(&self, batch: &Mixed, count: usize) -> Result<Vec<Part>> {
        if count == 1 {
            return Ok(vec![Part {
                images: batch.images.shallow_clone(),
                targets: batch.targets.shallow_clone(),
                share: Share::Whole,
            }]);
        }
        let parts = batch.chunks(count as i64);
        parts.map_err(|e| torch_error(&e).within("splitting the batch"))
    }

    /// Prepares for part `index` of `count` parts of a batch.
    fn begin_part(&self, index: usize, count: usize) -> Result<()> {
        let Some(reducer) = &self.reducer else { return Ok(()) };
        reducer.prepare_for_forward(index + 1 == count)?;
        if index == 0 { reducer.broadcast_buffers() } else { Ok(()) }
    }

    /// Adds a part's loss and its gradients, multiplied by fp16's loss scale. With the
    /// last part, the gradients are averaged over all processes.
    fn backward(
        &self,
        loss: &Tensor,
        gradients: &mut Gradients,
        is_last: bool,
    ) -> Result<()> {
        match &self.reducer {
            None => {
                let added = self.add_gradients(loss, gradients);
                added.map_err(|e| torch_error(&e).within("the backward pass"))
            }
            Some(reducer) => self.reduce_gradients(reducer, loss, gradients, is_last),
        }
    }

    fn reduce_gradients(
        &self,
        reducer: &Reducer,
        loss: &Tensor,
        gradients: &mut Gradients,
        is_last: bool,
    ) -> Result<()> {
        let scaled = self.scaled(loss).map_err(|e| torch_error(&e))?;
        gradients.add_loss(loss).map_err(|e| torch_error(&e))?;
        if !is_last {
            return reducer.accumulate(&scaled).map_err(|e| torch_error(&e));
        }
        reducer.reduce(&scaled)?;
        gradients.tensors = reducer.take_gradients()?;
        Ok(())
    }

    /// The loss multiplied by fp16's loss scale.
    fn scaled(&self, loss: &Tensor) -> Result<Tensor, TchError> {
        match &self.scaler {
            Some(scaler) => loss.f_mul(scaler.scale()),
            None => Ok(loss.shallow_clone()),
        }
    }

    fn add_gradients(
        &self,
        loss: &Tensor,
        gradients: &mut Gradients,
    ) -> Result<(), TchError> {
        let scaled = self.scaled(loss)?;
        let params: Vec<&Tensor> = self.params.iter().map(|p| &p.tensor).collect();
        let new = Tensor::f_run_backward(&[scaled], &params, false, false)?;
        gradients.add(loss, new)
    }

    /// Divides the gradients by fp16's loss scale. If one is not finite, the step will be
    /// skipped, as in GradScaler.
    fn unscale(&mut self, gradients: &mut Gradients) -> Result<()> {
        if let Some(scaler) = &mut self.scaler {
            let unscaled = scaler.unscale(&mut gradients.tensors);
            let overflow = unscaled.map_err(|e| e.within("unscaling the gradients"))?;
            gradients.overflow = Some(overflow);
        }
        Ok(())
    }

    /// Clips the gradients as the recipe configures: first each element, then the norm.
    fn clip(&self, gradients: &mut Gradients) -> Result<()> {
        let within = |e: Error| e.within("clipping the gradients");
        if let Some(limit) = self.settings.clip_grad_value {
            gradients::clip_value(&mut gradients.tensors, limit).map_err(within)?;
        }
        if let Some(limit) = self.settings.clip_grad_norm {
            gradients::clip_norm(&mut gradients.tensors, limit).map_err(within)?;
        }
        Ok(())
    }

    /// Unscales and clips the gradients, does the optimizer's step, then updates the moving
    /// average. If gradients overflowed in fp16, weights and average stay as they are. With
    /// fp16 this waits for the device until a first step is done.
    fn step(&mut self, gradients: &mut Gradients) -> Result<()> {
        self.unscale(gradients)?;
        self.clip(gradients)?;
        let overflow = gradients.overflow.as_ref();
        let optimizer = &mut self.optimizer;
        let stepped = optimizer.step(&mut self.params, &gradients.tensors, overflow);
        let is_begun = stepped.map_err(|e| e.within("the optimizer's step"))?;
        let Some(ema) = self.settings.ema.filter(|_| is_begun) else { return Ok(()) };
        let updated = no_grad(|| self.update_averages(ema.decay, overflow));
        updated.map_err(|e| torch_error(&e).within("the moving average"))
    }

    /// Follows `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn`: a copy
    /// at the first update, then `average += (1 - decay) * (weights - average)`. Running
    /// statistics are not averaged.
    fn update_averages(
        &mut self,
        decay: f64,
        overflow: Option<&Tensor>,
    ) -> Result<(), TchError> {
        let is_first = self.optimizer.is_after_first();
        let mut factor = None;
        if let Some(overflow) = overflow {
            // (1 - decay) * (1 - overflow)
            let mut product = overflow.f_sub(&number(1.0_f32))?;
            factor = Some(product.f_mul_scalar_(decay - 1.0)?);
        }
        for param in &mut self.params {
            let Some(average) = &mut param.average else { continue };
            if is_first {
                average.f_copy_(&param.tensor)?;
            } else if let Some(factor) = &factor {
                let _ = average.f_lerp_tensor_(&param.tensor, factor)?;
            } else {
                let _ = average.f_lerp_(&param.tensor, 1.0 - decay)?;
            }
        }
        Ok(())
    }

    /// Swaps the weights with their moving average, if the recipe has one: the average is
    /// evaluated and saved. A second call restores them exactly.
    pub fn swap_average(&mut self) -> Result<()> {
        let swapped = no_grad(|| {
            for param in &mut self.params {
                if let Some(average) = &mut param.average {
                    let trained = f_copy(&param.tensor)?;
                    param.tensor.f_copy_(average)?;
                    average.f_copy_(&trained)?;
                }
            }
            Ok(())
        });
        swapped.map_err(|e| torch_error(&e).within("the moving average"))?;
        self.is_swapped = !self.is_swapped;
        Ok(())
    }

    /// The metric that ReduceLROnPlateau goes by; `None` with other schedules.
    pub fn plateau_metric(&self) -> Result<Option<&'static MetricType>> {
        self.learning_rate.plateau().map(ReduceLROnPlateau::metric).transpose()
    }

    /// Steps ReduceLROnPlateau with the result of an evaluation.
    pub fn step_plateau(&mut self, found: &Evaluation) -> Result<()> {
        if let Some(state) = &mut self.plateau
            && let Some(settings) = self.learning_rate.plateau()
        {
            let metric = settings.metric()?;
            state.step(settings, metric.direction, found.value(metric));
        }
        Ok(())
    }

    /// The learning rate of the last step: `[train.optimizer]`'s if any parameter uses
    /// it.
    pub fn lr(&self) -> f64 {
        self.optimizer.lr()
    }

    /// The training state to save with the checkpoint, which holds the moving average if
    /// there is one.
    pub fn state(&self) -> Result<TrainState> {
        let mut tensors = Vec::new();
        for param in &self.params {
            tensors.extend(&param.state);
            match (&param.average, self.is_swapped) {
                (None, _) => {}
                (Some(swapped), true) => tensors.push(swapped),
                (Some(_), false) => tensors.push(&param.tensor),
            }
        }
        let mut saved = SavedTensor::copy_all(&tensors)?.into_iter();
        let mut params = Vec::new();
        for param in &self.params {
            let buffers = saved.by_ref().take(param.state.len()).collect();
            let trained = param.average.as_ref().and_then(|_| saved.next());
            let optimizer = self.optimizer.kind_of(param);
            params.push(ParamState { optimizer, buffers, trained });
        }
        Ok(TrainState {
            steps: self.optimizer.steps()?,
            optimizers: self.optimizer.kinds(),
            params,
            scaler: self.scaler.as_ref().map(Scaler::state).transpose()?,
            plateau: self.plateau.clone(),
        })
    }

    /// Continues from a saved state. The network holds the checkpoint's weights. Features
    /// that the recipe has newly turned on start here, and those turned off are dropped.
    pub fn restore(&mut self, state: &TrainState) -> Result<()> {
        if state.params.len() != self.params.len() {
            return Err(Error::failed("the training state is another network's"));
        }
        // Before the first step, any state can be continued.
        if state.steps > 0 {
            for (param, saved) in self.params.iter().zip(&state.params) {
                let Some(kind) = state.optimizers.get(saved.optimizer) else {
                    return Err(Error::failed("the training state is damaged"));
                };
                self.optimizer.check_continues(param, kind)?;
            }
        }
        self.optimizer.set_steps(state.steps);
        for (param, saved) in self.params.iter_mut().zip(&state.params) {
            restore_param(param, saved)?;
        }
        if let (Some(scaler), Some(saved)) = (&mut self.scaler, state.scaler) {
            *scaler = Scaler::new(saved, self.network.device())?;
        }
        if let (Some(plateau), Some(saved)) = (&mut self.plateau, &state.plateau) {
            plateau.restore(saved)?;
        }
        Ok(())
    }
}

/// Whether a batch can be computed in parts at once: its gradients are the sum of those of
/// its parts, and the recipe does not divide it already. fp16, which has its own scaling of
/// the loss, is for GPUs.
fn is_divisible(network: &Model, kind: Kind, settings: &Train) -> bool {
    let on_cpu = network.device() == Device::Cpu && kind != Kind::Half;
    on_cpu && !network.needs_whole_batch() && settings.accumulate == 1
}

/// The parameters that are not frozen, each with the index of its group.
fn trained_params(
    network: &Model,
    groups: Vec<usize>,
    is_averaged: bool,
) -> Result<Vec<Param>> {
    let mut params = Vec::new();
    let trained = network.parameters().iter().filter(|p| p.tensor.requires_grad());
    for (named, group) in trained.zip(groups) {
        let mut param = Param::new(named.tensor.shallow_clone(), group);
        if is_averaged {
            let average = f_copy(&param.tensor);
            let average =
                average.map_err(|e| torch_error(&e).within("the moving average"));
            param.average = Some(average?);
        }
        params.push(param);
    }
    Ok(params)
}

/// Sorts the parameters that are not frozen into groups.
fn parameter_groups(network: &Model, settings: &Train, rules: &Rules) -> Result<Groups> {
    let mut trained = Vec::new();
    let mut frozen = Vec::new();
    for named in network.parameters() {
        if named.tensor.requires_grad() {
            trained.push((named.name.as_str(), &named.tensor));
        } else {
            frozen.push(named.name.as_str());
        }
    }
    if trained.is_empty() {
        return Err(Error::usage(
            "no parameter is left to train: the network has none, or all are frozen",
        ));
    }
    Groups::new(settings, &rules.settings(), &trained, &frozen)
}

fn restore_param(param: &mut Param, saved: &ParamState) -> Result<()> {
    param.state.clear();
    for buffer in &saved.buffers {
        param.state.push(buffer.tensor(&param.tensor)?);
    }
    let Some(trained) = &saved.trained else { return Ok(()) };
    let trained = trained.tensor(&param.tensor)?;
    let restored = no_grad(|| {
        // The checkpoint holds the average.
        if let Some(average) = &mut param.average {
            average.f_copy_(&param.tensor)?;
        }
        param.tensor.f_copy_(&trained)
    });
    restored.map_err(|e| torch_error(&e))
}

#[cfg(test)]
mod tests;
