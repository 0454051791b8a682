//! Loads a state dict into a network: strictly, as initial weights, or from another
//! program's file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use strsim::normalized_damerau_levenshtein;
use tch::{Device, no_grad};
use torchmill::recipe::Model as Layers;
use torchmill::{Error, Result};

use super::{Model, list};
use crate::patterns::Patterns;
use crate::state_dict::{Entry, StateDict};
use crate::tensor::NamedTensor;
use crate::torch_error;

/// What was loaded and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The number of tensors loaded.
    pub count: usize,
    /// The prefix that was removed from the names, such as `module.`.
    pub prefix: String,
    /// Names that keep their initial values, each with the reason.
    pub fresh: Vec<String>,
    /// Names that keep their initial values because a pattern matches them.
    pub excepted: Vec<String>,
    /// Names in the file that were ignored because a pattern matches them.
    pub ignored: Vec<String>,
    /// The name of the last layer with a weight, if it was loaded.
    pub head: Option<String>,
}

impl Loaded {
    /// A note for the user if the last layer was loaded from a network for the same
    /// number of classes, but other ones (`theirs`).
    pub fn other_classes(&self, theirs: &[String], ours: &[String]) -> Option<String> {
        let head = self.head.as_ref()?;
        let first = theirs.iter().zip(ours).position(|(theirs, ours)| theirs != ours)?;
        Some(format!(
            "note: the last layer, {head}, was trained for other classes (its class {first} \
             is `{}`, here it is `{}`): --init-except '{head}.*' reinitialises it",
            theirs[first], ours[first]
        ))
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors taken", self.count)?;
        if !self.prefix.is_empty() {
            write!(f, " (prefix `{}` removed)", self.prefix)?;
        }
        if !self.fresh.is_empty() {
            write!(f, "; new: {}", self.fresh.join(", "))?;
        }
        if !self.excepted.is_empty() {
            write!(f, "; new by --init-except: {}", list(&self.excepted))?;
        }
        if !self.ignored.is_empty() {
            write!(f, "; left out: {}", list(&self.ignored))?;
        }
        Ok(())
    }
}

/// How a file's names and shapes may differ from the network's.
struct Options<'a> {
    /// Names to ignore, in the file or the network.
    except: Patterns,
    /// The command-line option that `except` comes from, for messages.
    except_option: &'a str,
    /// Whether names may have a prefix, and batch norm's counters may be missing.
    is_foreign: bool,
    /// Whether tensors of the network may keep their initial values: the excepted ones,
    /// and the last layer if its shape differs.
    may_stay_fresh: bool,
}

impl Model {
    /// `load_state_dict(strict=True)`.
    ///
    /// # Errors
    /// If a name is missing or unexpected, or a shape differs. Then nothing changes.
    pub fn load_state_dict(&mut self, weights: &StateDict) -> Result<()> {
        let options = Options {
            except: Patterns::new([] as [&str; 0])?,
            except_option: "",
            is_foreign: false,
            may_stay_fresh: false,
        };
        self.load(weights, &options).map(drop)
    }

    /// Loads the weights of another network to start training with.
    ///
    /// Names must match after a prefix such as DataParallel's `module.` is removed. The
    /// last layer keeps its initial weights if the file's has another shape, since it was
    /// trained for other classes. Names that match a pattern in `except` keep theirs,
    /// too, whatever the file has.
    ///
    /// # Errors
    /// If another name is missing or unexpected, or a shape differs. Then nothing
    /// changes.
    pub fn load_initial(
        &mut self,
        weights: &StateDict,
        except: &[String],
    ) -> Result<Loaded> {
        let options = Options {
            except: Patterns::new(except)?,
            except_option: "--init-except",
            is_foreign: true,
            may_stay_fresh: true,
        };
        self.load(weights, &options)
    }

    /// Loads another program's file. A prefix is removed from its names, batch norm's
    /// counters may be missing, and names that match a pattern in `except` are ignored.
    ///
    /// # Errors
    /// If another name is missing or unexpected, or a shape differs. Then nothing
    /// changes.
    pub fn load_foreign(
        &mut self,
        weights: &StateDict,
        except: &[String],
    ) -> Result<Loaded> {
        let options = Options {
            except: Patterns::new(except)?,
            except_option: "--except",
            is_foreign: true,
            may_stay_fresh: false,
        };
        self.load(weights, &options)
    }

    fn load(&mut self, weights: &StateDict, options: &Options) -> Result<Loaded> {
        let file = FileNames::new(self, weights, options);
        let own_names = self.state_dict().map(|named| named.name.as_str());
        let file_names = weights.entries().iter().map(Entry::name);
        let short_names = file.entries.keys().chain(&file.ignored).map(String::as_str);
        let all_names = own_names.chain(file_names).chain(short_names);
        if let Some(unused) = options.except.idle(all_names) {
            return Err(Error::usage(format_args!("no name matches `{unused}`")));
        }
        let mut loaded = Loaded {
            prefix: file.prefix.clone(),
            ignored: file.ignored.clone(),
            ..Loaded::default()
        };
        let mut differences = Differences::default();
        let mut pairs = Vec::new();
        let head = self.resized_head(&file, options);
        for named in self.state_dict() {
            let (name, shape) = (&named.name, named.tensor.size());
            let entry = file.entries.get(name.as_str()).copied();
            if options.may_stay_fresh && options.except.matches(name) {
                loaded.excepted.push(name.clone());
                continue;
            }
            let Some(entry) = entry else {
                // PyTorch, too, accepts weights without counters, from before 0.4.1.
                let is_counter = name.ends_with("num_batches_tracked");
                if !(options.is_foreign && is_counter) {
                    differences.missing.push(name.clone());
                }
                continue;
            };
            let is_in_head = head.as_deref().is_some_and(|head| is_in(name, head));
            if is_in_head {
                let theirs = entry.shape();
                loaded.fresh.push(format!("{name} {shape:?} (the file's is {theirs:?})"));
            } else if entry.shape() != shape {
                differences.shapes.push(format!(
                    "{name} is {:?}, the network's is {shape:?}",
                    entry.shape()
                ));
            } else {
                pairs.push((named, entry));
            }
        }
        let known: HashSet<&str> = self.state_dict().map(|n| n.name.as_str()).collect();
        let names = file.entries.keys().filter(|name| !known.contains(name.as_str()));
        differences.unexpected = names.cloned().collect();
        differences.check(options.except_option)?;
        loaded.count = pairs.len();
        copy(weights, &pairs)?;
        let is_kept = |name: &str| {
            head.is_none() && !options.except.matches(&format!("{name}.weight"))
        };
        loaded.head = self.head().filter(|name| is_kept(name)).map(str::to_owned);
        Ok(loaded)
    }

    /// The last layer's name, if its shape in the file differs and it may be left out.
    fn resized_head(&self, file: &FileNames, options: &Options) -> Option<String> {
        if !options.may_stay_fresh {
            return None;
        }
        let head = self.head()?;
        let differs = self.state_dict().any(|named| {
            is_in(&named.name, head)
                && file
                    .entries
                    .get(&named.name)
                    .is_some_and(|entry| entry.shape() != named.tensor.size())
        });
        differs.then(|| head.to_owned())
    }

    /// The number of image channels and of classes in the weights, for layers that do not
    /// fix them. They are the sizes of the first convolution and of the last layer with a
    /// weight.
    pub fn sizes_in(
        layers: &Layers,
        input: [usize; 3],
        weights: &StateDict,
    ) -> Result<(usize, usize)> {
        // The number of classes does not matter: only the names are used.
        let (model, _) = Self::build(layers, input, Some(1), None, Device::Cpu)?;
        let options = Options {
            except: Patterns::new([] as [&str; 0])?,
            except_option: "",
            is_foreign: true,
            may_stay_fresh: false,
        };
        let file = FileNames::new(&model, weights, &options);
        let size = |name: &str, dimension: usize| {
            let shape = file.entries.get(name)?.shape();
            usize::try_from(*shape.get(dimension)?).ok().filter(|n| *n > 0)
        };
        let head = model.head().map(|head| format!("{head}.weight"));
        let classes = head.as_deref().and_then(|name| size(name, 0)).ok_or_else(|| {
            Error::failed(format_args!(
                "the weights are another network's: there is no {}, whose shape would \
                 say the number of classes",
                head.as_deref().unwrap_or("weight")
            ))
        })?;
        let first = model.parameters().first().filter(|named| named.tensor.dim() == 4);
        let channels = first.and_then(|named| size(&named.name, 1));
        Ok((channels.unwrap_or(input[0]), classes))
    }

    /// The name of the last layer with a weight.
    fn head(&self) -> Option<&str> {
        self.parameters().iter().rev().find_map(|n| n.name.strip_suffix(".weight"))
    }
}

/// Whether a parameter belongs to a layer, by its name.
fn is_in(name: &str, layer: &str) -> bool {
    name.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'))
}

/// Copies each tensor of the file into the network's.
fn copy(weights: &StateDict, pairs: &[(&NamedTensor, &Entry)]) -> Result<()> {
    for (named, entry) in pairs {
        let tensor = weights.tensor(entry)?;
        no_grad(|| named.tensor.shallow_clone().f_copy_(&tensor))
            .map_err(|e| torch_error(&e).within(&named.name))?;
    }
    Ok(())
}

/// The entries of a file, under the network's names for them.
struct FileNames<'a> {
    /// The prefix that was removed from the names.
    prefix: String,
    entries: BTreeMap<String, &'a Entry>,
    /// Names that a pattern excludes.
    ignored: Vec<String>,
}

impl<'a> FileNames<'a> {
    fn new(model: &Model, weights: &'a StateDict, options: &Options) -> Self {
        let known: HashSet<&str> = model.state_dict().map(|n| n.name.as_str()).collect();
        let mut names = Vec::new();
        let mut ignored = Vec::new();
        for entry in weights.entries() {
            let name = without_wrappers(entry.name(), &known, options.is_foreign);
            if !known.contains(name.as_str()) && options.except.matches(entry.name()) {
                ignored.push(entry.name().to_owned());
            } else {
                names.push((name, entry));
            }
        }
        let prefix = if options.is_foreign {
            best_prefix(names.iter().map(|(name, _)| name.as_str()), &known)
        } else {
            String::new()
        };
        let mut entries = BTreeMap::new();
        for (name, entry) in names {
            let short = name.strip_prefix(&prefix).unwrap_or(&name);
            if !known.contains(short) && options.except.matches(short) {
                ignored.push(short.to_owned());
            } else {
                entries.insert(short.to_owned(), entry);
            }
        }
        Self { prefix, entries, ignored }
    }
}

/// Removes torch.compile's parts from a name, unless the network has the name as it is.
fn without_wrappers(name: &str, known: &HashSet<&str>, is_foreign: bool) -> String {
    const COMPILED: &str = "_orig_mod";
    if !is_foreign || known.contains(name) || !name.contains(COMPILED) {
        return name.to_owned();
    }
    let parts: Vec<&str> = name.split('.').filter(|part| *part != COMPILED).collect();
    parts.join(".")
}

/// The prefix, in whole components, whose removal makes the most names match the
/// network's. Of equally good ones, the shortest.
fn best_prefix<'a>(
    names: impl Iterator<Item = &'a str>,
    known: &HashSet<&str>,
) -> String {
    let mut hits: HashMap<&str, usize> = HashMap::new();
    for name in names {
        let ends = name.match_indices('.').map(|(dot, _)| dot + 1);
        for end in std::iter::once(0).chain(ends) {
            let (prefix, rest) = name.split_at(end);
            if known.contains(rest) {
                *hits.entry(prefix).or_default() += 1;
            }
        }
    }
    let best = hits.into_iter().max_by_key(|(prefix, count)| {
        (*count, std::cmp::Reverse(prefix.len()), std::cmp::Reverse(*prefix))
    });
    best.map_or(String::new(), |(prefix, _)| prefix.to_owned())
}

/// The reasons why weights do not fit.
#[derive(Default)]
struct Differences {
    missing: Vec<String>,
    unexpected: Vec<String>,
    shapes: Vec<String>,
}

impl Differences {
    /// Fails with a message that lists the differences, if there are any.
    fn check(mut self, except_option: &str) -> Result<()> {
        self.sort_by_likeness();
        let mut parts = Vec::new();
        for (what, names) in [
            ("missing", &self.missing),
            ("unexpected", &self.unexpected),
            ("of another shape", &self.shapes),
        ] {
            if !names.is_empty() {
                parts.push(format!("{} {what} ({})", names.len(), list(names)));
            }
        }
        if parts.is_empty() {
            return Ok(());
        }
        let hint = match except_option {
            "" => String::new(),
            option => format!("; {option} PATTERN leaves names out"),
        };
        Err(Error::failed(format_args!(
            "the weights are another network's: {}{hint}",
            parts.join(", ")
        )))
    }

    /// Sorts missing and unexpected names so that the most similar pairs come first, at
    /// the same position in both lists.
    fn sort_by_likeness(&mut self) {
        // Longer lists come from unrelated networks, and comparing all pairs is slow.
        const MOST: usize = 200;
        if self.missing.len().max(self.unexpected.len()) > MOST {
            return;
        }
        let mut pairs = Vec::new();
        for (i, missing) in self.missing.iter().enumerate() {
            for (j, unexpected) in self.unexpected.iter().enumerate() {
                pairs.push((normalized_damerau_levenshtein(missing, unexpected), i, j));
            }
        }
        // The sort is stable: equally similar pairs stay in the network's order.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut missing_order: Vec<usize> = Vec::new();
        let mut unexpected_order: Vec<usize> = Vec::new();
        for (_, i, j) in pairs {
            if !missing_order.contains(&i) && !unexpected_order.contains(&j) {
                missing_order.push(i);
                unexpected_order.push(j);
            }
        }
        self.missing = in_order(&self.missing, &missing_order);
        self.unexpected = in_order(&self.unexpected, &unexpected_order);
    }
}

/// The names at these indices, then the others.
fn in_order(names: &[String], first: &[usize]) -> Vec<String> {
    let rest = (0..names.len()).filter(|i| !first.contains(i));
    first.iter().copied().chain(rest).map(|i| names[i].clone()).collect()
}

#[cfg(test)]
mod tests;
