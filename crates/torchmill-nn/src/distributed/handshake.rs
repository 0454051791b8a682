//! How the processes of a launch find each other at the store.
//!
//! torchrun's store outlives the processes that it restarts, so it may still hold the
//! keys of an earlier start (PyTorch issue 135712). Therefore rank 0 makes up a name for
//! this start and publishes it. Each other rank answers under that name with a token of
//! its own, and trusts the name once rank 0 has welcomed the token.

use std::hash::{BuildHasher, RandomState};
use std::thread;
use std::time::{Duration, Instant};

use torchmill::{Error, Result, interrupt};

use super::ranks_have;
use super::store::{Store, seconds};

/// Where rank 0 publishes the name of its start.
const START: &str = "torchmill/start";
const WELCOME: &str = "welcome";

/// One process that takes part.
pub(super) struct Participant<'a> {
    pub rank: u32,
    pub size: u32,
    /// What must be the same on all ranks, in words.
    pub claim: &'a str,
    /// How long it waits for the others.
    pub timeout: Duration,
}

/// Meets the other ranks at the store. Returns the prefix for keys that only the
/// processes of this start use.
pub(super) fn meet(store: &Store, participant: &Participant) -> Result<String> {
    if participant.rank == 0 {
        welcome(store, participant)
    } else {
        answer(store, participant)
    }
}

/// Rank 0's side.
fn welcome(store: &Store, own: &Participant) -> Result<String> {
    let start = format!("torchmill/{}", token());
    store.set(START, &start)?;
    let mut wait = Wait::new(own.timeout);
    let mut missing: Vec<u32> = (1..own.size).collect();
    let mut tokens = Vec::new();
    let mut problem = None;
    while !missing.is_empty() && problem.is_none() {
        let mut still_missing = Vec::new();
        for rank in missing {
            let Some(answer) = store.get(&answer_key(&start, rank))? else {
                still_missing.push(rank);
                continue;
            };
            let (token, claim) = answer.split_once(' ').unwrap_or((&answer, ""));
            tokens.push(token.to_owned());
            if claim != own.claim {
                problem =
                    Some(format!("rank {rank} is {claim}, rank 0 is {}", own.claim));
            }
        }
        missing = still_missing;
        if !missing.is_empty() && problem.is_none() && !wait.pause()? {
            problem = Some(not_come(&missing, own.timeout));
        }
    }
    for token in &tokens {
        store.set(&verdict_key(&start, token), problem.as_deref().unwrap_or(WELCOME))?;
    }
    let Some(problem) = problem else { return Ok(start) };
    wait_until_read(store, &start, &tokens);
    Err(Error::failed(problem))
}

/// Waits until the others have read their verdicts: the store may end with rank 0.
fn wait_until_read(store: &Store, start: &str, tokens: &[String]) {
    let end = Instant::now() + Duration::from_secs(2);
    for token in tokens {
        let key = read_key(start, token);
        while Instant::now() < end && matches!(store.get(&key), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The other ranks' side.
fn answer(store: &Store, own: &Participant) -> Result<String> {
    let token = token();
    let mut wait = Wait::new(own.timeout);
    let mut answered = String::new();
    loop {
        if let Some(start) = store.get(START)? {
            if start != answered {
                let answer = format!("{token} {}", own.claim);
                store.set(&answer_key(&start, own.rank), &answer)?;
                answered = start;
            }
            if let Some(verdict) = store.get(&verdict_key(&answered, &token))? {
                if verdict == WELCOME {
                    return Ok(answered);
                }
                store.set(&read_key(&answered, &token), "")?;
                return Err(Error::failed(verdict));
            }
        }
        if !wait.pause()? {
            return Err(Error::failed(format_args!(
                "rank 0 has not answered within {}: it does not run, or there is another \
                 process of rank {}",
                seconds(own.timeout),
                own.rank
            )));
        }
    }
}

/// Fails unless all ranks have the same value. Calls `check` repeatedly while it waits
/// for the other ranks.
pub(super) fn check_same(
    store: &Store,
    prefix: &str,
    own: &Participant,
    compared: &Compared,
    check: impl Fn() -> Result<()>,
) -> Result<()> {
    let key = |rank: u32| format!("{prefix}/{}/{rank}", compared.name);
    store.set(&key(own.rank), compared.value)?;
    let mut wait = Wait::new(own.timeout);
    for rank in 0..own.size {
        while store.get(&key(rank))?.is_none() {
            check()?;
            if !wait.pause()? {
                return Err(Error::failed(not_come(&[rank], own.timeout)));
            }
        }
    }
    let first = store.get(&key(0))?;
    for rank in 1..own.size {
        if store.get(&key(rank))? != first {
            return Err(Error::failed(format_args!(
                "rank {rank} has {} than rank 0",
                compared.difference
            )));
        }
    }
    Ok(())
}

/// A value that must be the same on all ranks.
pub(super) struct Compared<'a> {
    /// The name of its keys in the store.
    pub name: &'a str,
    /// This rank's value.
    pub value: &'a str,
    /// What a rank with a different value has, such as `other shards`.
    pub difference: &'a str,
}

fn not_come(missing: &[u32], timeout: Duration) -> String {
    format!("{} not come within {}", ranks_have(missing), seconds(timeout))
}

fn answer_key(start: &str, rank: u32) -> String {
    format!("{start}/answer/{rank}")
}

fn verdict_key(start: &str, token: &str) -> String {
    format!("{start}/verdict/{token}")
}

fn read_key(start: &str, token: &str) -> String {
    format!("{start}/read/{token}")
}

/// A string that no other process makes up.
fn token() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Growing pauses until a deadline.
struct Wait {
    end: Option<Instant>,
    pause: Duration,
}

impl Wait {
    const LONGEST: Duration = Duration::from_millis(100);

    fn new(timeout: Duration) -> Self {
        let end = Instant::now().checked_add(timeout);
        Self { end, pause: Duration::from_millis(1) }
    }

    /// Pauses. Returns false once the time is up.
    fn pause(&mut self) -> Result<bool> {
        interrupt::check()?;
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(Self::LONGEST);
        Ok(self.end.is_none_or(|end| Instant::now() < end))
    }
}
