//! What the launchers of several processes (torchrun, mpirun, srun) set in the
//! environment.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// The launchers' environment variables, by name.
pub type Variables = BTreeMap<String, String>;

/// The first of the ports that are derived from a job's number.
const FIRST_PORT: u64 = 20_000;
const PORTS: u64 = 10_000;

/// The largest number of processes. The first one waits for an answer from each.
const MOST: u32 = 1 << 16;

/// Which process of how many this is, and where they meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// What started the processes, for messages.
    pub launcher: &'static str,
    /// The number of this process, from 0.
    pub rank: u32,
    /// How many processes there are.
    pub size: u32,
    /// The number of this process among those on its machine, from 0.
    pub local_rank: u32,
    /// The host of the store where the processes meet.
    pub host: String,
    /// The store's port.
    pub port: u16,
    /// Whether the launcher hosts the store. Otherwise rank 0 does.
    pub launcher_hosts_store: bool,
    /// How many times torchrun has restarted the processes.
    pub restarts: u32,
}

impl Launch {
    /// Reads this process's environment. `None` if no launcher has set anything, or if it
    /// has started only one process.
    pub fn from_environment() -> Result<Option<Self>> {
        let mut variables = Variables::new();
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                variables.insert(name, value);
            }
        }
        Self::from_variables(&variables)
    }

    /// Reads these variables. RANK and WORLD_SIZE (torchrun's) come first, then Open
    /// MPI's, then Slurm's. MASTER_ADDR and MASTER_PORT override what the others imply.
    ///
    /// sbatch without srun starts one process: it sets SLURM_NTASKS, but no step.
    pub fn from_variables(variables: &Variables) -> Result<Option<Self>> {
        let variables = Reader(variables);
        let has = |name| variables.text(name).is_some();
        let found = if has("RANK") || has("WORLD_SIZE") {
            torchrun(&variables)?
        } else if has("OMPI_COMM_WORLD_SIZE") {
            mpirun(&variables)?
        } else if has("SLURM_STEP_NUM_TASKS") && has("SLURM_PROCID") {
            srun(&variables)?
        } else {
            return Ok(None);
        };
        found.check()?;
        if found.size == 1 {
            return Ok(None);
        }
        found.complete(&variables).map(Some)
    }
}

/// What a launcher's own variables specify.
struct Found {
    launcher: &'static str,
    rank: u32,
    size: u32,
    local_rank: Option<u32>,
    /// Where the store is if MASTER_ADDR and MASTER_PORT are not set.
    host: Option<String>,
    port: Option<u16>,
}

impl Found {
    fn check(&self) -> Result<()> {
        if self.size > MOST {
            return Err(Error::usage(format_args!(
                "{}: {} processes are too many, at most {MOST} can train together",
                self.launcher, self.size
            )));
        }
        if self.rank < self.size {
            return Ok(());
        }
        Err(Error::usage(format_args!(
            "{}: rank {} does not exist among {} processes: ranks are from 0 to {}",
            self.launcher,
            self.rank,
            self.size,
            self.size.saturating_sub(1)
        )))
    }

    fn complete(self, variables: &Reader) -> Result<Launch> {
        let host = variables.text("MASTER_ADDR").or(self.host);
        let port = variables.number("MASTER_PORT")?.or(self.port);
        let agent = variables.text("TORCHELASTIC_USE_AGENT_STORE");
        Ok(Launch {
            launcher: self.launcher,
            rank: self.rank,
            size: self.size,
            local_rank: self.local_rank.unwrap_or(0),
            host: host.ok_or_else(|| missing("MASTER_ADDR", self.launcher))?,
            port: port.ok_or_else(|| missing("MASTER_PORT", self.launcher))?,
            launcher_hosts_store: agent.as_deref() == Some("True"),
            restarts: variables.number("TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0),
        })
    }
}

fn torchrun(variables: &Reader) -> Result<Found> {
    let launcher = match variables.text("TORCHELASTIC_RUN_ID") {
        Some(_) => "torchrun",
        None => "RANK and WORLD_SIZE",
    };
    Ok(Found {
        launcher,
        rank: variables.needed("RANK", launcher)?,
        size: variables.needed("WORLD_SIZE", launcher)?,
        local_rank: variables.number("LOCAL_RANK")?,
        host: None,
        port: None,
    })
}

fn mpirun(variables: &Reader) -> Result<Found> {
    let launcher = "mpirun";
    let size = variables.needed("OMPI_COMM_WORLD_SIZE", launcher)?;
    let local_size: Option<u32> = variables.number("OMPI_COMM_WORLD_LOCAL_SIZE")?;
    let is_local = local_size == Some(size);
    // Open MPI 5 names the job in the first, Open MPI 4 in the second. All processes of a
    // job have the same.
    let job = variables
        .text("PMIX_NAMESPACE")
        .or_else(|| variables.text("OMPI_MCA_ess_base_jobid"));
    Ok(Found {
        launcher,
        rank: variables.needed("OMPI_COMM_WORLD_RANK", launcher)?,
        size,
        local_rank: variables.number("OMPI_COMM_WORLD_LOCAL_RANK")?,
        host: is_local.then(|| "127.0.0.1".to_owned()),
        port: job.map(|job| port_of(&job)),
    })
}

fn srun(variables: &Reader) -> Result<Found> {
    let launcher = "srun";
    let nodes = variables.text("SLURM_STEP_NODELIST");
    let job = variables.text("SLURM_JOB_ID").unwrap_or_default();
    let step = variables.text("SLURM_STEP_ID").unwrap_or_default();
    Ok(Found {
        launcher,
        rank: variables.needed("SLURM_PROCID", launcher)?,
        size: variables.needed("SLURM_STEP_NUM_TASKS", launcher)?,
        local_rank: variables.number("SLURM_LOCALID")?,
        host: nodes.map(|nodes| first_node(&nodes)),
        port: Some(port_of(&format!("{job}.{step}"))),
    })
}

/// A port that is the same for all processes of a job.
fn port_of(job: &str) -> u16 {
    let mut hash = 0_u64;
    for byte in job.bytes() {
        hash = (hash * 31 + u64::from(byte)) % PORTS;
    }
    (FIRST_PORT + hash) as u16
}

/// The first node of Slurm's list: `a1` of `a1,a2` and of `a[1-3,7]`.
fn first_node(list: &str) -> String {
    let mut depth = 0;
    let mut first = String::new();
    for c in list.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            break;
        }
        first.push(c);
    }
    while let (Some(open), Some(close)) = (first.find('['), first.find(']')) {
        if close < open {
            break;
        }
        let numbers = &first[open + 1..close];
        let number = numbers.split([',', '-']).next().unwrap_or_default().to_owned();
        first.replace_range(open..=close, &number);
    }
    first
}

/// Reads variables. An empty one counts as unset.
struct Reader<'a>(&'a Variables);

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::usage(format_args!(
                "the environment variable {name} is `{text}`, which is not a number in \
                 its range"
            ))),
        }
    }

    fn needed<T: std::str::FromStr>(&self, name: &str, launcher: &str) -> Result<T> {
        self.number(name)?.ok_or_else(|| missing(name, launcher))
    }
}

fn missing(name: &str, launcher: &str) -> Error {
    Error::usage(format_args!(
        "the environment says that there are several processes ({launcher}), but \
         {name} is not set"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn read(text: &str) -> Result<Option<Launch>> {
        let mut variables = Variables::new();
        for pair in text.split_whitespace() {
            let (name, value) = pair.split_once('=').unwrap();
            variables.insert(name.to_owned(), value.to_owned());
        }
        Launch::from_variables(&variables)
    }

    fn launch(text: &str) -> Launch {
        read(text).unwrap().unwrap()
    }

    #[track_caller]
    fn assert_refused(text: &str, why: &str) {
        let error = read(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains(why), "{error}");
    }

    #[test]
    fn nothing_set_is_one_process() {
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("RANK=0 WORLD_SIZE=1").unwrap(), None);
        // sbatch without srun.
        let sbatch = "SLURM_NTASKS=4 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_JOB_ID=7";
        assert_eq!(read(sbatch).unwrap(), None);
        assert_eq!(read("MASTER_ADDR=a MASTER_PORT=1 LOCAL_RANK=1").unwrap(), None);
    }

    #[test]
    fn torchrun_is_read() {
        let found = launch(
            "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2 MASTER_ADDR=node1 \
             MASTER_PORT=29500 TORCHELASTIC_RUN_ID=none TORCHELASTIC_RESTART_COUNT=2 \
             TORCHELASTIC_USE_AGENT_STORE=True",
        );
        let expected = Launch {
            launcher: "torchrun",
            rank: 3,
            size: 4,
            local_rank: 1,
            host: "node1".to_owned(),
            port: 29_500,
            launcher_hosts_store: true,
            restarts: 2,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn two_shells_are_read() {
        let found = launch("RANK=1 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=5");
        assert_eq!((found.rank, found.size, found.local_rank), (1, 2, 0));
        assert_eq!((found.launcher_hosts_store, found.restarts), (false, 0));
        assert_eq!((found.host.as_str(), found.port), ("a", 5));
    }

    #[test]
    fn open_mpi_is_read() {
        let own = "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 \
                   OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2 ";
        let found = launch(&format!("{own} PMIX_NAMESPACE=prterun-a-77@1"));
        assert_eq!((found.launcher, found.rank, found.local_rank), ("mpirun", 1, 1));
        assert_eq!(found.host, "127.0.0.1");
        assert!((20_000..30_000).contains(&found.port));
        let found = launch(&format!("{own} MASTER_ADDR=b MASTER_PORT=7"));
        assert_eq!((found.host.as_str(), found.port), ("b", 7));
        // On several machines nothing says where rank 0 is.
        let two = own.replace("LOCAL_SIZE=2", "LOCAL_SIZE=1");
        assert_refused(&format!("{two} PMIX_NAMESPACE=x"), "MASTER_ADDR is not set");
        assert_refused(own, "MASTER_PORT is not set");
    }

    #[test]
    fn slurm_is_read() {
        let own = "SLURM_PROCID=3 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1 \
                   SLURM_STEP_NODELIST=n[07-10] SLURM_JOB_ID=4711 SLURM_STEP_ID=";
        let found = launch(&format!("{own}0"));
        assert_eq!((found.launcher, found.rank, found.size), ("srun", 3, 8));
        assert_eq!((found.local_rank, found.host.as_str()), (1, "n07"));
        // Two steps of a job do not meet.
        assert_ne!(found.port, launch(&format!("{own}1")).port);
    }

    #[test]
    fn the_first_node_of_a_list_is_found() {
        let lists = [
            ("a", "a"),
            ("a1,a2", "a1"),
            ("a[1-3,7],b", "a1"),
            ("n[001-100]", "n001"),
            ("r[1-2]n[03-04]", "r1n03"),
            ("a[01-02]b", "a01b"),
            ("n[5,7]", "n5"),
            ("]n[", "]n["),
        ];
        for (list, first) in lists {
            assert_eq!(first_node(list), first);
        }
    }

    #[test]
    fn wrong_variables_are_named() {
        assert_refused("RANK=2 WORLD_SIZE=2", "rank 2 does not exist among 2");
        assert_refused("RANK=0 WORLD_SIZE=0", "rank 0 does not exist among 0");
        assert_refused("RANK=0 WORLD_SIZE=65537", "65537 processes are too many");
        assert_refused("RANK=x WORLD_SIZE=2", "RANK is `x`, which is not a number");
        assert_refused("WORLD_SIZE=2", "RANK is not set");
        assert_refused("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", "MASTER_PORT is not set");
        let port = "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=70000";
        assert_refused(port, "MASTER_PORT is `70000`");
    }
}
