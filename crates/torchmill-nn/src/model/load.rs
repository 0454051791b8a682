//! Weights to start from: another run's, torchvision's, or those of a network with
//! another head.

use std::fmt;

use tch::{Device, Tensor, no_grad};
use torchmill::recipe::Model as Layers;
use torchmill::{Error, Result};

use super::{Model, list};
use crate::patterns::Patterns;

/// What was taken and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many tensors were taken.
    pub count: usize,
    /// What was taken off the front of every name, `module.`.
    pub prefix: String,
    /// Names that keep their fresh values, each with the reason.
    pub fresh: Vec<String>,
    /// Names that keep their fresh values, as was asked for.
    pub excepted: Vec<String>,
    /// Names of the file that were left out, as was asked for.
    pub ignored: Vec<String>,
    /// The name of the last layer with a weight, if it was taken.
    pub head: Option<String>,
}

impl Loaded {
    /// A line for the user where the last layer was taken from a network for other
    /// classes, `theirs`, of the same number.
    pub fn other_classes(&self, theirs: &[String], ours: &[String]) -> Option<String> {
        let head = self.head.as_ref()?;
        let first = theirs.iter().zip(ours).position(|(theirs, ours)| theirs != ours)?;
        Some(format!(
            "note: the last layer, {head}, was trained for other classes (its class {first} \
             is `{}`, here it is `{}`): --init-except '{head}.*' starts it anew",
            theirs[first], ours[first]
        ))
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors taken", self.count)?;
        if !self.prefix.is_empty() {
            write!(f, " (`{}` taken off their names)", self.prefix)?;
        }
        if !self.fresh.is_empty() {
            write!(f, "; new: {}", self.fresh.join(", "))?;
        }
        if !self.excepted.is_empty() {
            write!(f, "; new, as asked: {}", list(&self.excepted))?;
        }
        if !self.ignored.is_empty() {
            write!(f, "; left out: {}", list(&self.ignored))?;
        }
        Ok(())
    }
}

impl Model {
    /// Takes the weights of another network for a start. Names must agree, after a prefix
    /// that all in the file have in common (DataParallel's `module.`) is taken off. The
    /// last layer keeps its fresh weights where the file's has another shape: it was for
    /// other classes. Names that fit one of `except` keep theirs, too, whatever the file
    /// has. Everything else missing, unexpected or of another shape is an error that
    /// names it, and nothing is changed.
    pub fn load_initial(
        &mut self,
        tensors: &[(String, Tensor)],
        except: &[String],
    ) -> Result<Loaded> {
        let patterns = Patterns::new(except)?;
        let own = || self.state_dict().map(|n| n.name.as_str());
        let prefix = common_prefix(tensors, own);
        let given: Vec<(&str, &Tensor)> =
            tensors.iter().map(|(n, t)| (&n[prefix.len()..], t)).collect();
        if let Some(idle) = patterns.idle(own().chain(given.iter().map(|(n, _)| *n))) {
            return Err(Error::usage(format_args!("no name fits `{idle}`")));
        }
        let find = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, t)| *t);
        let head = self.head();
        let is_head = |name: &str| {
            head.is_some_and(|h| name.strip_prefix(h).is_some_and(|r| r.starts_with('.')))
        };
        let other_head = self.state_dict().any(|n| {
            is_head(&n.name) && find(&n.name).is_some_and(|t| t.size() != n.tensor.size())
        });
        let mut loaded = Loaded { prefix: prefix.to_owned(), ..Loaded::default() };
        let (mut missing, mut shapes, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for n in self.state_dict() {
            let (name, size) = (&n.name, n.tensor.size());
            match find(name) {
                _ if patterns.matches(name) => loaded.excepted.push(name.clone()),
                // Weights saved before PyTorch 0.4.1 have none; PyTorch takes them, too.
                None if name.ends_with("num_batches_tracked") => {}
                None => missing.push(name.clone()),
                Some(t) if is_head(name) && other_head => {
                    loaded
                        .fresh
                        .push(format!("{name} {size:?} (the file's is {:?})", t.size()));
                }
                Some(t) if t.size() != size => {
                    shapes.push(format!(
                        "{name} is {:?}, the network asks for {size:?}",
                        t.size()
                    ));
                }
                Some(t) => taken.push((&n.tensor, t)),
            }
        }
        let known: std::collections::HashSet<&str> = own().collect();
        let strangers = given.iter().map(|(n, _)| *n).filter(|n| !known.contains(n));
        let (ignored, unexpected): (Vec<_>, Vec<_>) =
            strangers.map(str::to_owned).partition(|n| patterns.matches(n));
        loaded.ignored = ignored;
        let wrong = [
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", shapes),
        ];
        let wrong: Vec<String> = wrong
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{} {what} ({})", names.len(), list(names)))
            .collect();
        if !wrong.is_empty() {
            return Err(Error::failed(format_args!(
                "the weights are another network's: {}; --init-except PATTERN leaves names out",
                wrong.join(", ")
            )));
        }
        loaded.count = taken.len();
        let is_kept = |head: &str| {
            let weight = format!("{head}.weight");
            !other_head && !patterns.matches(&weight)
        };
        loaded.head = head.filter(|head| is_kept(head)).map(str::to_owned);
        no_grad(|| taken.into_iter().for_each(|(own, t)| own.shallow_clone().copy_(t)));
        Ok(loaded)
    }

    /// `load_state_dict` of another program's file, by the rules of
    /// [`Model::load_initial`] for names: a common prefix is taken off, and
    /// `num_batches_tracked` may be missing. Anything else must agree.
    pub fn load_foreign(&mut self, tensors: &[(String, Tensor)]) -> Result<()> {
        let prefix =
            common_prefix(tensors, || self.state_dict().map(|n| n.name.as_str()));
        let mut given: Vec<(String, Tensor)> = tensors
            .iter()
            .map(|(n, t)| (n[prefix.len()..].to_owned(), t.shallow_clone()))
            .collect();
        let counters: Vec<(String, Tensor)> = self
            .state_dict()
            .filter(|n| {
                n.name.ends_with("num_batches_tracked")
                    && !given.iter().any(|(g, _)| *g == n.name)
            })
            .map(|n| (n.name.clone(), n.tensor.copy()))
            .collect();
        given.extend(counters);
        self.load_state_dict(&given)
    }

    /// The shape of the images' channels and the number of classes that weights say,
    /// where the layers leave them open: those of the first convolution and of the last
    /// layer with a weight.
    pub fn sizes_in(
        layers: &Layers,
        input: [usize; 3],
        tensors: &[(String, Tensor)],
    ) -> Result<(usize, usize)> {
        // Of one class, to find out what the layers are called.
        let (model, _) = Self::build(layers, input, Some(1), None, Device::Cpu)?;
        let prefix =
            common_prefix(tensors, || model.state_dict().map(|n| n.name.as_str()));
        let size = |name: &str| {
            tensors
                .iter()
                .find(|(n, _)| n.strip_prefix(prefix) == Some(name))
                .map(|(_, t)| t.size())
        };
        let head = model.head().map(|head| format!("{head}.weight"));
        let classes =
            head.as_deref().and_then(size).and_then(|size| size.first().copied());
        let classes = classes.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).ok_or_else(|| {
            Error::failed(format_args!(
                "the weights are another network's: there is no {}, whose shape would say the number of classes",
                head.as_deref().unwrap_or("weight")
            ))
        })?;
        let first = model
            .parameters()
            .first()
            .filter(|n| n.tensor.dim() == 4)
            .map(|n| n.name.as_str());
        let channels = first.and_then(size).and_then(|size| size.get(1).copied());
        Ok((channels.and_then(|n| usize::try_from(n).ok()).unwrap_or(input[0]), classes))
    }

    /// The name of the last layer with a weight.
    fn head(&self) -> Option<&str> {
        self.parameters().iter().rev().find_map(|n| n.name.strip_suffix(".weight"))
    }
}

/// What all names in the file begin with, whole components of it, where only without it
/// they are this network's.
fn common_prefix<'a, 'b, I>(
    tensors: &'a [(String, Tensor)],
    own: impl Fn() -> I,
) -> &'a str
where
    I: Iterator<Item = &'b str>,
{
    let Some((first, _)) = tensors.first() else { return "" };
    let hits = |prefix: &str| {
        let known: std::collections::HashSet<&str> = own().collect();
        tensors.iter().filter(|(n, _)| known.contains(&n[prefix.len()..])).count()
    };
    let ends = std::iter::once(0).chain(first.match_indices('.').map(|(i, _)| i + 1));
    let shared = ends
        .map(|end| &first[..end])
        .filter(|p| tensors.iter().all(|(n, _)| n.starts_with(p)));
    // The shortest of those that fit best.
    let better = |best: (&'a str, usize), prefix: &'a str| {
        let count = hits(prefix);
        if count > best.1 { (prefix, count) } else { best }
    };
    shared.fold(("", hits("")), better).0
}
