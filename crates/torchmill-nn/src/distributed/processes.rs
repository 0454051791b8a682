//! The processes of a training run: one, or several that are connected.

use std::time::Duration;

use tch::Device;
use torchmill::Result;
use torchmill::launch::Launch;

use super::group::Group;
use super::handshake::{self, Compared, Participant};
use super::nccl;
use super::presence::Presence;
use super::store::Store;

/// The processes of a run.
pub struct Processes {
    connected: Option<Connected>,
}

/// Several connected processes.
struct Connected {
    launch: Launch,
    timeout: Duration,
    prefix: String,
    // Fields are dropped in this order. Rank 0's store must come last.
    group: Group,
    presence: Presence,
    store: Store,
}

impl Processes {
    /// A single process.
    pub fn single() -> Self {
        Self { connected: None }
    }

    /// Meets the other processes of a launch; without a `launch`, there is one process.
    /// `timeout` is how long to wait for them here, and later for each of their answers.
    /// `program` must be the same for all.
    pub fn meet(
        launch: Option<Launch>,
        program: &str,
        timeout: Duration,
    ) -> Result<Self> {
        let Some(launch) = launch else { return Ok(Self::single()) };
        let rank = launch.rank;
        Self::connect(launch, program, timeout)
            .map_err(|e| e.within(format_args!("rank {rank}")))
    }

    fn connect(launch: Launch, program: &str, timeout: Duration) -> Result<Self> {
        let store = Store::open(&launch, timeout)?;
        let claim = format!("one of {} processes of {program}", launch.size);
        let own =
            Participant { rank: launch.rank, size: launch.size, claim: &claim, timeout };
        let prefix = handshake::meet(&store, &own)?;
        let beating = Store::connect(&launch.host, launch.port, timeout)?;
        let presence = Presence::start(beating, &prefix, launch.rank, launch.size);
        let group = match Group::open(&store, &prefix, &launch, timeout) {
            Ok(group) => group,
            Err(e) => {
                let error = presence.explained(e);
                presence.tell(&error);
                presence.leave();
                return Err(error);
            }
        };
        let connected = Connected { launch, timeout, prefix, group, presence, store };
        Ok(Self { connected: Some(connected) })
    }

    /// This process's rank, from 0.
    pub fn rank(&self) -> u32 {
        self.group().map_or(0, Group::rank)
    }

    /// The number of processes.
    pub fn size(&self) -> u32 {
        self.group().map_or(1, Group::size)
    }

    /// Whether this is rank 0, which writes the run's folder.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The rank of this process on its machine; `None` for a single process.
    pub fn local_rank(&self) -> Option<u32> {
        self.connected.as_ref().map(|connected| connected.launch.local_rank)
    }

    /// The process group; `None` for a single process.
    pub fn group(&self) -> Option<&Group> {
        self.connected.as_ref().map(|connected| &connected.group)
    }

    /// Fails unless all processes have the same `value`. `difference` says what a process
    /// with a different value has, such as `other shards`.
    pub fn check_same(&self, name: &str, value: &str, difference: &str) -> Result<()> {
        let Some(connected) = &self.connected else { return Ok(()) };
        let own = Participant {
            rank: connected.launch.rank,
            size: connected.launch.size,
            claim: "",
            timeout: connected.timeout,
        };
        let compared = Compared { name, value, difference };
        let (store, prefix) = (&connected.store, &connected.prefix);
        let check = || connected.presence.check();
        handshake::check_same(store, prefix, &own, &compared, check)
    }

    /// Sends gradients between GPUs through NCCL if the processes can use it. Otherwise
    /// they go through Gloo, by way of the CPU. All processes must call this together.
    pub fn use_nccl(&self, device: Device) -> Result<()> {
        let Some(connected) = &self.connected else { return Ok(()) };
        let [is_any_on_cpu] = self.any([!device.is_cuda()])?;
        if is_any_on_cpu {
            return Ok(());
        }
        let group = &connected.group;
        let Some(library) = nccl::usable_library(group, device)? else { return Ok(()) };
        let (store, prefix) = (&connected.store, &connected.prefix);
        group.add_nccl(store, prefix, connected.timeout, &library)
    }

    /// For each flag, whether it is true in any process.
    pub fn any<const N: usize>(&self, flags: [bool; N]) -> Result<[bool; N]> {
        match self.group() {
            Some(group) => group.any(flags),
            None => Ok(flags),
        }
    }

    /// Waits until all processes have called this.
    pub fn wait_for_all(&self) -> Result<()> {
        match self.group() {
            Some(group) => group.barrier(),
            None => Ok(()),
        }
    }

    /// Ends the work of all processes and returns the error to report, if any. The error
    /// names this process's rank, and the process that was lost. The others learn why
    /// this one ends.
    ///
    /// Nothing else may use the group any more: the others notice that this process ends
    /// when its connections close.
    pub fn end(self, result: Result<()>) -> Result<()> {
        let Some(connected) = self.connected else { return result };
        let Connected { launch, group, presence, .. } = connected;
        let error = match result {
            Ok(()) => {
                presence.leave();
                return Ok(());
            }
            Err(error) => presence.explained(error),
        };
        presence.tell(&error);
        // The others wait for this process's data until its connections are closed.
        // Closing them may wait for a lost process, so do it in the background.
        group.close_in_background();
        presence.leave();
        Err(error.within(format_args!("rank {}", launch.rank)))
    }
}
