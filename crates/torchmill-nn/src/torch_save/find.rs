//! Finds the state dict among the pickled values.

use std::collections::HashSet;

use torchmill::{Error, Result};

use super::pickle::{Node, Pickle, Value, View};

/// The keys under which training scripts save the state dict, most likely first.
const USUAL_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The maximum nesting depth of the state dict in other dicts.
const MAX_DEPTH: usize = 3;

/// A state dict's names and tensors.
type Tensors<'p, 'a> = Vec<(&'a str, &'p View<'a>)>;

/// A dict in the file, and the keys that lead to it.
struct Place<'a> {
    keys: Vec<&'a str>,
    value: Value,
}

/// The named tensors that the file was saved for.
///
/// They are the pickled dict itself or a dict inside it: the one under a usual key, or
/// else the only one that holds tensors.
pub(super) fn state_dict<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<Tensors<'p, 'a>> {
    if let Some(Node::Object(module, name)) = pickle.node(pickle.root) {
        return Err(pickled_object(module, name, &[]));
    }
    let mut level = vec![Place { keys: Vec::new(), value: pickle.root }];
    let mut seen = HashSet::new();
    for _ in 0..=MAX_DEPTH {
        let with_tensors: Vec<&Place> = level
            .iter()
            .filter(|place| !tensors(pickle, place.value).is_empty())
            .collect();
        let usual = |place: &&Place| {
            place.keys.last().is_some_and(|key| USUAL_KEYS.contains(key))
        };
        match &with_tensors[..] {
            [] => {}
            [only] => {
                let inner = descend(pickle, only);
                if let Some(inner) = inner.iter().find(|place| {
                    usual(place) && !tensors(pickle, place.value).is_empty()
                }) {
                    return Ok(tensors(pickle, inner.value));
                }
                return Ok(tensors(pickle, only.value));
            }
            several => {
                let rank = |place: &&&Place| {
                    let key = place.keys.last();
                    USUAL_KEYS.iter().position(|usual| key == Some(usual))
                };
                let chosen =
                    several.iter().filter(|p| rank(p).is_some()).min_by_key(rank);
                return match chosen {
                    Some(place) => Ok(tensors(pickle, place.value)),
                    None => Err(ambiguous(pickle, several)),
                };
            }
        }
        if let Some(error) = object_in(pickle, &level) {
            return Err(error);
        }
        let mut next = Vec::new();
        for place in &level {
            for inner in descend(pickle, place) {
                // Visit each dict once, even if several keys lead to it.
                if let Value::Node(number) = inner.value
                    && seen.insert(number)
                {
                    next.push(inner);
                }
            }
        }
        level = next;
    }
    Err(no_tensors(pickle))
}

/// The tensors that a dict holds under string keys.
fn tensors<'p, 'a>(pickle: &'p Pickle<'a>, value: Value) -> Tensors<'p, 'a> {
    let mut tensors = Vec::new();
    if let Some(Node::Dict(entries)) = pickle.node(value) {
        for (key, value) in entries {
            if let (Some(name), Some(Node::Tensor(view))) =
                (pickle.text(*key), pickle.node(*value))
            {
                tensors.push((name, view));
            }
        }
    }
    tensors
}

/// The dicts and objects inside a dict.
fn descend<'a>(pickle: &Pickle<'a>, place: &Place<'a>) -> Vec<Place<'a>> {
    let mut inner = Vec::new();
    let Some(Node::Dict(entries)) = pickle.node(place.value) else { return inner };
    for (key, value) in entries {
        let is_place =
            matches!(pickle.node(*value), Some(Node::Dict(_) | Node::Object(..)));
        if let Some(key) = pickle.text(*key)
            && is_place
        {
            let mut keys = place.keys.clone();
            keys.push(key);
            inner.push(Place { keys, value: *value });
        }
    }
    inner
}

/// The error for a pickled module in the place of a state dict.
fn object_in(pickle: &Pickle, level: &[Place]) -> Option<Error> {
    for place in level.iter().flat_map(|place| descend(pickle, place)) {
        let is_usual = place.keys.last().is_some_and(|key| USUAL_KEYS.contains(key));
        if is_usual && let Some(Node::Object(module, name)) = pickle.node(place.value) {
            return Some(pickled_object(module, name, &place.keys));
        }
    }
    None
}

fn path(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("[{key:?}]")).collect()
}

fn pickled_object(module: &str, name: &str, keys: &[&str]) -> Error {
    let place = match keys {
        [] => String::new(),
        keys => format!(" under `{}`", keys.join(".")),
    };
    Error::failed(format_args!(
        "holds a whole pickled object{place}, a {module}.{name}, not a state dict; in \
         Python: net = torch.load(FILE, weights_only=False){}; \
         torch.save(net.state_dict(), NEW)",
        path(keys)
    ))
}

fn ambiguous(pickle: &Pickle, places: &[&Place]) -> Error {
    const SHOWN: usize = 8;
    let shown: Vec<String> = places
        .iter()
        .take(SHOWN)
        .map(|place| {
            let count = tensors(pickle, place.value).len();
            format!("`{}` ({count} tensors)", place.keys.join("."))
        })
        .collect();
    let more = match places.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Error::failed(format_args!(
        "holds several dicts of tensors: {}{more}; save the one that is meant: \
         torch.save(torch.load(FILE){}, NEW)",
        shown.join(", "),
        path(&places[0].keys)
    ))
}

fn no_tensors(pickle: &Pickle) -> Error {
    let Some(Node::Dict(entries)) = pickle.node(pickle.root) else {
        return Error::failed("holds no dict of tensors: save net.state_dict()");
    };
    let keys: Vec<String> = entries
        .iter()
        .filter_map(|(key, _)| pickle.text(*key))
        .take(8)
        .map(|key| format!("`{key}`"))
        .collect();
    if keys.is_empty() {
        return Error::failed("holds no tensors");
    }
    Error::failed(format_args!(
        "holds no tensors: its keys are {}; save net.state_dict()",
        keys.join(", ")
    ))
}
