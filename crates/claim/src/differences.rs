//! Finds the places in which two bodies differ.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use crate::canonical::unescaped_name;

/// Number of differences after which the comparison stops. More would not help to understand a conflict.
pub const MAX_DIFFERENCES: usize = 5;

/// Number of characters after which a pointer to a difference is cut.
pub const MAX_DIFFERENCE_CHARS: usize = 100;

/// Returns JSON Pointers to the places in which two canonical forms differ. One pass over both is enough, because their
/// members are sorted.
pub(crate) fn differences(a: &[u8], b: &[u8]) -> Vec<String> {
    let mut comparison = Comparison { path: Vec::new(), found: Vec::new() };
    // Either all differences have been found, or enough of them.
    let _ = comparison.compare(&mut Cursor(a), &mut Cursor(b));
    comparison.found
}

/// The unread rest of a canonical form, which has no white space between its tokens.
struct Cursor<'a>(&'a [u8]);

/// A step from an array or object to one of its values. A name is in quotation marks and escaped, as in the canonical
/// form.
enum Step<'a> {
    Name(&'a [u8]),
    Index(usize),
}

struct Comparison<'a> {
    path: Vec<Step<'a>>,
    found: Vec<String>,
}

impl<'a> Comparison<'a> {
    /// Compares the next values of both forms, and moves both cursors past them. Returns `Break` as soon as enough
    /// differences are found. The cursors are then inside these values, so the caller must not use them again. The
    /// parser limits the nesting, so the recursion is limited too.
    fn compare(&mut self, a: &mut Cursor<'a>, b: &mut Cursor<'a>) -> ControlFlow<()> {
        match (a.0.first(), b.0.first()) {
            (Some(b'{'), Some(b'{')) => self.compare_objects(a, b),
            (Some(b'['), Some(b'[')) => self.compare_arrays(a, b),
            _ => {
                if a.take_value() == b.take_value() {
                    ControlFlow::Continue(())
                } else {
                    self.add()
                }
            }
        }
    }

    fn compare_objects(&mut self, a: &mut Cursor<'a>, b: &mut Cursor<'a>) -> ControlFlow<()> {
        let mut a_name = a.enter().then(|| a.take_name());
        let mut b_name = b.enter().then(|| b.take_name());
        loop {
            let order = match (a_name, b_name) {
                (None, None) => return ControlFlow::Continue(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => unescaped_name(a).cmp(unescaped_name(b)),
            };
            let name = if order.is_gt() { b_name } else { a_name };
            self.path.push(Step::Name(name.expect("the name that comes first exists")));
            if order.is_eq() {
                self.compare(a, b)?;
            } else {
                self.add()?;
            }
            self.path.pop();
            if order.is_lt() {
                a.take_value();
            }
            if order.is_gt() {
                b.take_value();
            }
            if order.is_le() {
                a_name = a.next().then(|| a.take_name());
            }
            if order.is_ge() {
                b_name = b.next().then(|| b.take_name());
            }
        }
    }

    fn compare_arrays(&mut self, a: &mut Cursor<'a>, b: &mut Cursor<'a>) -> ControlFlow<()> {
        let mut in_a = a.enter();
        let mut in_b = b.enter();
        let mut index = 0;
        while in_a || in_b {
            self.path.push(Step::Index(index));
            if in_a && in_b {
                self.compare(a, b)?;
            } else {
                self.add()?;
                if in_a {
                    a.take_value()
                } else {
                    b.take_value()
                };
            }
            self.path.pop();
            in_a = in_a && a.next();
            in_b = in_b && b.next();
            index += 1;
        }
        ControlFlow::Continue(())
    }

    /// Adds the pointer to the current value. Returns `Break` if this makes enough differences.
    fn add(&mut self) -> ControlFlow<()> {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Index(index) => pointer.push_str(&index.to_string()),
                Step::Name(name) => {
                    let name: Vec<u8> = unescaped_name(name).collect();
                    pointer.push_str(&String::from_utf8_lossy(&name).replace('~', "~0").replace('/', "~1"));
                }
            }
        }
        if let Some((end, _)) = pointer.char_indices().nth(MAX_DIFFERENCE_CHARS) {
            pointer.truncate(end);
        }
        self.found.push(pointer);
        if self.found.len() == MAX_DIFFERENCES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes);
        self.0 = rest;
        taken
    }

    /// Moves into the array or object that comes next. If it is empty, moves past it and returns false.
    fn enter(&mut self) -> bool {
        self.take(1);
        let is_empty = matches!(self.0.first(), Some(b']' | b'}'));
        if is_empty {
            self.take(1);
        }
        !is_empty
    }

    /// Moves past the comma or the closing bracket that comes next. Returns true if it is a comma.
    fn next(&mut self) -> bool {
        self.take(1) == b","
    }

    /// Moves past a name and its colon. Returns the name.
    fn take_name(&mut self) -> &'a [u8] {
        let name = self.take(string_end(self.0));
        self.take(1);
        name
    }

    /// Moves past the value that comes next. Returns the value.
    fn take_value(&mut self) -> &'a [u8] {
        let mut depth = 0_usize;
        let mut end = 0;
        loop {
            match self.0[end] {
                b'"' => end += string_end(&self.0[end..]),
                b'[' | b'{' => {
                    depth += 1;
                    end += 1;
                }
                b']' | b'}' => {
                    depth -= 1;
                    end += 1;
                }
                b',' | b':' => end += 1,
                _ => {
                    let rest = &self.0[end..];
                    end += rest.iter().position(|byte| b",]}".contains(byte)).unwrap_or(rest.len());
                }
            }
            if depth == 0 {
                return self.take(end);
            }
        }
    }
}

/// Returns the length of the JSON string at the start of `text`, including its quotation marks.
fn string_end(text: &[u8]) -> usize {
    let mut end = 1;
    while text[end] != b'"' {
        end += if text[end] == b'\\' { 2 } else { 1 };
    }
    end + 1
}
