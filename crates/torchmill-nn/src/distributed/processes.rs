//! The processes of a run as `train` sees them: one, or several that are connected.

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

/// Several processes that have met.
struct Connected {
    launch: Launch,
    timeout: Duration,
    prefix: String,
    // The order is that in which they are dropped: rank 0's store comes last.
    group: Group,
    presence: Presence,
    store: Store,
}

impl Processes {
    /// One process, on its own.
    pub fn single() -> Self {
        Self { connected: None }
    }

    /// Meets the other processes of a launch; `None` for one process. Waits for them for
    /// `timeout` at most, and later for a single answer of theirs as well. `program` must
    /// be the same for all.
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

    /// This process's number, from 0.
    pub fn rank(&self) -> u32 {
        self.group().map_or(0, Group::rank)
    }

    /// How many there are.
    pub fn size(&self) -> u32 {
        self.group().map_or(1, Group::size)
    }

    /// Whether this is the process that writes the run's folder.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The number of this process among those on its machine; `None` for a single process.
    pub fn local_rank(&self) -> Option<u32> {
        self.connected.as_ref().map(|connected| connected.launch.local_rank)
    }

    /// What they compute together; `None` for a single process.
    pub fn group(&self) -> Option<&Group> {
        self.connected.as_ref().map(|connected| &connected.group)
    }

    /// Refuses to go on unless all processes have the same `value`. `difference` says what
    /// a process with another value has: `other shards`.
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

    /// Has the gradients of GPUs sent through NCCL, if the processes can use it. Otherwise
    /// they go through Gloo, by way of the CPU. The processes must call this together.
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

    /// Whether each of these is true for any of the processes.
    pub fn any<const N: usize>(&self, flags: [bool; N]) -> Result<[bool; N]> {
        match self.group() {
            Some(group) => group.any(flags),
            None => Ok(flags),
        }
    }

    /// Waits for all processes.
    pub fn wait_for_all(&self) -> Result<()> {
        match self.group() {
            Some(group) => group.barrier(),
            None => Ok(()),
        }
    }

    /// Ends the work together: returns the error to report, if there is one. It names this
    /// process's rank, and which process was lost. The others are told why this one ends.
    ///
    /// Nothing else must use the group any more: the others notice that this process ends
    /// when its connections are closed.
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
        // The others wait for this process's data until its connections are closed. Closing
        // them may wait for a lost process, which must not keep this one from its end.
        group.close_in_background();
        presence.leave();
        Err(error.within(format_args!("rank {}", launch.rank)))
    }
}
