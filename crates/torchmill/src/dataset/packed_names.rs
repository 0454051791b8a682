//! A long list of short texts without an allocation for each: a million file names in
//! some 20 MB.

/// Texts packed one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedNames {
    text: String,
    ends: Vec<usize>,
}

impl PackedNames {
    /// Appends a text.
    pub fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text at `i`; empty where there is none.
    pub fn get(&self, i: usize) -> &str {
        let start = i
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        self.ends.get(i).and_then(|&end| self.text.get(start..end)).unwrap_or_default()
    }
}

impl<S: AsRef<str>> FromIterator<S> for PackedNames {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut packed = Self::default();
        names.into_iter().for_each(|name| packed.push(name.as_ref()));
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_went_in() {
        let names: PackedNames = ["a.jpg", "", "日本.png"].into_iter().collect();
        assert_eq!(
            (names.len(), names.get(0), names.get(1), names.get(2)),
            (3, "a.jpg", "", "日本.png")
        );
        assert_eq!(names.get(3), "");
    }
}
