//! Labels while they are read, as numbers or as names, whether or not the classes are
//! known beforehand.

use std::collections::HashMap;

use super::class_names::composed;
use crate::suggest::did_you_mean;
use crate::text::shown;
use crate::{Error, Result};

/// A number of at least this is a name, not an index: no data set has that many classes.
const MOST_CLASSES: u32 = 100_000;
/// The longest name of a class, in bytes.
const LONGEST_NAME: usize = 200;

/// The classes of the labels so far.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Whether the classes are known, so that a label must be one of them.
    is_complete: bool,
    /// Names, in the order in which they came; a provisional label is an index into them.
    names: Vec<String>,
    index_of: HashMap<String, u32>,
}

impl Labels {
    /// Reads labels of these classes. If there are none, the labels themselves give the
    /// classes.
    pub fn new(classes: &[String]) -> Self {
        let mut labels = Self { is_complete: !classes.is_empty(), ..Self::default() };
        for class in classes {
            labels.insert(class);
        }
        labels
    }

    /// The provisional label for a text: the name of a class, or its index.
    pub fn of_text(&mut self, text: &str) -> Result<u32> {
        let text = text.trim();
        let is_name = !text.is_empty()
            && text.len() <= LONGEST_NAME
            && !text.contains(char::is_control);
        if !is_name {
            return Err(Error::failed(format_args!(
                "`{}` is not a label: a number or the name of a class",
                shown(text)
            )));
        }
        let number = text.parse::<i64>().ok();
        // `007` and `7` are one label.
        let name = match number {
            Some(number) => number.to_string(),
            None => composed(text),
        };
        if let Some(&label) = self.index_of.get(&name) {
            return Ok(label);
        }
        if self.is_complete {
            return match number {
                Some(number) => self.of_index(number),
                None => Err(self.unknown(&name)),
            };
        }
        if number.is_some_and(|number| number < 0) {
            return Err(no_label(&name));
        }
        Ok(self.insert(&name))
    }

    /// The provisional label for the index of a class.
    pub fn of_index(&mut self, index: i64) -> Result<u32> {
        if !self.is_complete {
            return self.of_text(&index.to_string());
        }
        match u32::try_from(index) {
            Ok(label) if (label as usize) < self.names.len() => Ok(label),
            Ok(label) => Err(Error::failed(format_args!(
                "the label {label} is beyond the {} classes (0 to {})",
                self.names.len(),
                self.names.len() - 1
            ))),
            Err(_) => Err(no_label(&index.to_string())),
        }
    }

    /// The provisional label for the name of a class, even if it is a number.
    pub fn of_name(&mut self, name: &str) -> Result<u32> {
        let name = composed(name);
        match self.index_of.get(&name) {
            Some(&label) => Ok(label),
            None if self.is_complete => Err(self.unknown(&name)),
            None => Ok(self.insert(&name)),
        }
    }

    fn insert(&mut self, name: &str) -> u32 {
        let label = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.index_of.insert(name.to_owned(), label);
        label
    }

    fn unknown(&self, name: &str) -> Error {
        let names = self.names.iter().map(String::as_str);
        Error::failed(format_args!(
            "there is no class `{}`{}",
            shown(name),
            did_you_mean(name, names)
        ))
    }

    /// The classes in order, and the final label for each provisional one.
    ///
    /// Known classes keep their order. Labels that are all numbers are indices, and the
    /// classes are then all numbers up to the largest. Names are sorted as text; with
    /// `are_names`, so are numbers.
    pub fn finish(self, are_names: bool) -> (Vec<String>, Vec<u32>) {
        if self.is_complete {
            let labels = (0..self.names.len() as u32).collect();
            return (self.names, labels);
        }
        let numbers: Option<Vec<u32>> =
            self.names.iter().map(|name| name.parse().ok()).collect();
        if !are_names
            && let Some(numbers) = numbers
            && let Some(&largest) = numbers.iter().max()
            && largest < MOST_CLASSES
        {
            let classes = (0..=largest).map(|number| number.to_string()).collect();
            return (classes, numbers);
        }
        let mut classes = self.names.clone();
        classes.sort_unstable();
        let position = |name: &String| classes.partition_point(|c| c < name) as u32;
        let labels = self.names.iter().map(position).collect();
        (classes, labels)
    }
}

fn no_label(text: &str) -> Error {
    Error::failed(format_args!(
        "the label {text} is not that of a class (published test sets often come \
         without labels): leave this file out"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(texts: &[&str]) -> (Vec<String>, Vec<u32>) {
        let mut labels = Labels::default();
        let given: Vec<u32> =
            texts.iter().map(|text| labels.of_text(text).unwrap()).collect();
        let (classes, new) = labels.finish(false);
        (classes, given.into_iter().map(|label| new[label as usize]).collect())
    }

    #[test]
    fn numbers_are_indices_and_names_are_sorted() {
        let (classes, labels) = finished(&["10\n", "007", "0", "7"]);
        assert_eq!((classes.len(), labels), (11, vec![10, 7, 0, 7]));
        let (classes, labels) = finished(&["dog", "cat", "dog"]);
        assert_eq!((classes, labels), (vec!["cat".into(), "dog".into()], vec![1, 0, 1]));
        // A number larger than any number of classes is a name.
        assert_eq!(finished(&["2", "123456789"]).0, ["123456789", "2"]);
    }

    #[test]
    fn known_classes_take_names_and_indices() {
        let mut labels = Labels::new(&["dog".to_owned(), "cat".to_owned()]);
        assert_eq!(
            (labels.of_text("cat").unwrap(), labels.of_text("0").unwrap()),
            (1, 0)
        );
        assert_eq!(labels.of_index(1).unwrap(), 1);
        let message = |result: Result<u32>| result.unwrap_err().to_string();
        assert!(message(labels.of_index(2)).contains("beyond the 2 classes (0 to 1)"));
        assert!(message(labels.of_index(-1)).contains("without labels"));
        assert!(message(labels.of_text("cta")).contains("did you mean"));
        assert_eq!(labels.finish(false).0, ["dog", "cat"]);
    }

    #[test]
    fn what_is_no_label_is_refused() {
        for text in ["", " ", "a\tb", "-1", &"x".repeat(201)] {
            assert!(Labels::default().of_text(text).is_err(), "{text:?}");
        }
    }
}
