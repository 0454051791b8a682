//! run.jsonl: when, where, by which program and on which data a run was trained. `train`
//! adds a line each time it starts in the folder and each time it ends; a killed run has
//! no line for its end.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::recipe::Precision;
use crate::{Context, Error, Result};

/// A line of run.jsonl.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// `train` has started.
    Start(Box<Start>),
    /// `train` has ended.
    End(End),
}

/// What is known when `train` starts. Later versions may add fields, so a missing field
/// is read as empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Start {
    /// The time, in UTC, as in RFC 3339.
    pub time: String,
    /// The command line.
    pub command: Vec<String>,
    /// The working folder, in which relative paths start.
    pub folder: Option<String>,
    /// The machine's name.
    pub host: String,
    /// The process ID.
    pub pid: u32,
    /// The program with its version.
    pub program: String,
    /// libtorch's version.
    pub libtorch: String,
    /// The device that the run uses.
    pub device: String,
    /// The kind of processor, and how it multiplies matrices.
    pub processor: String,
    /// The number of threads that compute on the CPU.
    pub threads: u64,
    /// The number of processes that train together.
    pub processes: u32,
    /// The precision of the computation.
    pub precision: Option<Precision>,
    /// The seed.
    pub seed: u64,
    /// The folder of shards.
    pub shards: Option<String>,
    /// What each split is used for.
    pub splits: Vec<Split>,
    /// The class names, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// The checkpoint that the run was resumed from.
    pub resumed_from: Option<String>,
}

/// A split of the data and what it is used for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Split {
    /// `train`, `val` or `test`.
    #[serde(rename = "for")]
    pub purpose: String,
    /// The shards' split; a part of the training split may be used for validation.
    pub split: String,
    /// The number of images.
    pub images: usize,
    /// The shards' digest.
    pub digest: String,
}

/// How `train` ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct End {
    /// The time, in UTC, as in RFC 3339.
    pub time: String,
    /// Why it ended.
    pub outcome: Outcome,
    /// The number of epochs done by then.
    pub epoch: u64,
    /// The number of optimizer steps done by then.
    pub step: u64,
    /// The seconds since this start.
    pub seconds: f64,
}

/// Why `train` ended. In the file it is text: `done`, `time is up`, `interrupted`, or the
/// error's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All requested epochs or steps are done.
    Done,
    /// `--max-time` was reached.
    TimeIsUp,
    /// The user stopped it.
    Interrupted,
    /// This error ended it.
    Failed(String),
}

impl Outcome {
    /// The text for it in run.jsonl.
    pub fn text(&self) -> &str {
        match self {
            Self::Done => "done",
            Self::TimeIsUp => "time is up",
            Self::Interrupted => "interrupted",
            Self::Failed(message) => message,
        }
    }
}

impl Default for End {
    fn default() -> Self {
        let outcome = Outcome::Failed(String::new());
        Self { time: String::new(), outcome, epoch: 0, step: 0, seconds: 0.0 }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        for outcome in [Self::Done, Self::TimeIsUp, Self::Interrupted] {
            if outcome.text() == text {
                return Ok(outcome);
            }
        }
        Ok(Self::Failed(text))
    }
}

/// A run.jsonl to which lines are added.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
}

impl Writer {
    /// Adds to the file at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Adds a line.
    pub fn append(&self, event: &Event) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .doing("open", &self.path)?;
        let text = serde_json::to_string(event)
            .map_err(|e| Error::failed(&e).within(self.path.display()).caused_by(e))?;
        // One call, so that a line is written completely or not at all.
        file.write_all(format!("{text}\n").as_bytes()).doing("write", &self.path)
    }
}

/// The events of a run.jsonl, in order; none if there is no such file. Incomplete lines
/// and events that this version does not know are left out.
pub fn read(path: &Path) -> Result<Vec<Event>> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes.doing("read", path)?,
    };
    let lines = bytes.split(|&byte| byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        assert_eq!(read(&path).unwrap(), []);
        let split = Split {
            purpose: "train".to_owned(),
            split: "train".to_owned(),
            images: 5,
            digest: "d".to_owned(),
        };
        let start = Event::Start(Box::new(Start {
            command: vec!["train".to_owned(), "--data".to_owned()],
            precision: Some(Precision::Bf16),
            splits: vec![split],
            ..Start::default()
        }));
        let end = |outcome| Event::End(End { outcome, epoch: 2, ..End::default() });
        let events = [
            start,
            end(Outcome::Done),
            end(Outcome::TimeIsUp),
            end(Outcome::Interrupted),
            end(Outcome::Failed("the loss is NaN".to_owned())),
        ];
        let writer = Writer::new(&path);
        events.iter().for_each(|event| writer.append(event).unwrap());
        assert_eq!(read(&path).unwrap(), events);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\"event\":\"start\",\"time\":\"\",\"command\":"));
        assert!(text.contains("\"for\":\"train\"") && text.contains("\"bf16\""));
        assert!(text.contains("{\"event\":\"end\",\"time\":\"\",\"outcome\":\"done\","));
    }

    #[test]
    fn half_a_line_and_unknown_events_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let text = "{\"event\":\"end\",\"outcome\":\"done\",\"new\":1}\n\
                    {\"event\":\"pause\"}\n{\"event\":\"st";
        fs::write(&path, text).unwrap();
        let events = read(&path).unwrap();
        let [Event::End(end)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(end.outcome, Outcome::Done);
    }
}
