//! The canonical form of a body, written token by token.

use std::cmp::Ordering;

use crate::excerpt::Excerpt;

/// A name that stands twice in one object.
pub(crate) struct RepeatedName(pub(crate) Excerpt);

/// The canonical form as far as it has been read. Members of an open object stand in the order they came in and are put
/// in order when the object closes.
pub(crate) struct CanonicalForm {
    out: Vec<u8>,
    open: Vec<Container>,
}

#[derive(Clone, Copy)]
pub(crate) enum ContainerKind {
    Array,
    Object,
}

/// An array or object that has been entered and not yet left.
struct Container {
    kind: ContainerKind,
    /// Items or members so far.
    values: usize,
    /// An object's.
    members: Vec<Member>,
}

/// One `"name":value` of an open object, where it stands in the canonical form so far. A mebibyte has room for more than a
/// hundred thousand of them, so the name is not kept a second time.
struct Member {
    start: usize,
    end: usize,
}

impl CanonicalForm {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), open: Vec::new() }
    }

    /// The innermost array or object that is open.
    pub(crate) fn innermost(&self) -> Option<ContainerKind> {
        self.open.last().map(|container| container.kind)
    }

    pub(crate) fn enter(&mut self, kind: ContainerKind) {
        self.out.push(match kind {
            ContainerKind::Array => b'[',
            ContainerKind::Object => b'{',
        });
        self.open.push(Container { kind, values: 0, members: Vec::new() });
    }

    /// The next value is an item of the open array. Returns its index.
    pub(crate) fn begin_item(&mut self) -> usize {
        let array = self.open.last_mut().expect("an array is open");
        let index = array.values;
        array.values += 1;
        if index > 0 {
            self.out.push(b',');
        }
        index
    }

    /// The next value is the member of this name in the open object.
    pub(crate) fn begin_member(&mut self, name: &str) {
        let object = self.open.last_mut().expect("an object is open");
        object.values += 1;
        if object.values > 1 {
            self.out.push(b',');
        }
        let start = self.out.len();
        object.members.push(Member { start, end: start });
        write_string(&mut self.out, name);
        self.out.push(b':');
    }

    pub(crate) fn push_string(&mut self, value: &str) {
        write_string(&mut self.out, value);
        self.end_value();
    }

    /// A number, a boolean or null, as it is written.
    pub(crate) fn push_literal(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.end_value();
    }

    /// Closes the innermost array or object.
    pub(crate) fn leave(&mut self) -> Result<(), RepeatedName> {
        let closed = self.open.pop().expect("only an open array or object is closed");
        match closed.kind {
            ContainerKind::Array => self.out.push(b']'),
            ContainerKind::Object => {
                let mut members = closed.members;
                if !members.is_sorted_by(|a, b| self.by_name(a, b).is_lt()) {
                    self.sort(&mut members)?;
                }
                self.out.push(b'}');
            }
        }
        self.end_value();
        Ok(())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// A value is complete: if it is a member's, that is where the member ends.
    fn end_value(&mut self) {
        if let Some(object) = self.open.last_mut()
            && let Some(member) = object.members.last_mut()
        {
            member.end = self.out.len();
        }
    }

    fn by_name(&self, a: &Member, b: &Member) -> Ordering {
        name(&self.out[a.start..]).cmp(name(&self.out[b.start..]))
    }

    fn sort(&mut self, members: &mut [Member]) -> Result<(), RepeatedName> {
        let start = members[0].start;
        members.sort_unstable_by(|a, b| self.by_name(a, b));
        if let Some(pair) = members.windows(2).find(|pair| self.by_name(&pair[0], &pair[1]).is_eq()) {
            let name: Vec<u8> = name(&self.out[pair[0].start..]).collect();
            return Err(RepeatedName(Excerpt::of(&String::from_utf8_lossy(&name))));
        }
        let mut sorted = Vec::with_capacity(self.out.len() - start);
        for member in members {
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            sorted.extend_from_slice(&self.out[member.start..member.end]);
        }
        self.out.truncate(start);
        self.out.extend_from_slice(&sorted);
        Ok(())
    }
}

/// The name that a member begins with, byte by byte, without the escapes that [`write_string`] gave it.
fn name(member: &[u8]) -> impl Iterator<Item = u8> {
    let mut bytes = member[1..].iter().copied();
    std::iter::from_fn(move || match bytes.next()? {
        b'"' => None,
        b'\\' => Some(match bytes.next()? {
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            // `\u00` and two lower-case digits of a control character.
            b'u' => bytes.by_ref().take(4).fold(0, |value, digit| {
                let digit = if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
                value * 16 + digit
            }),
            quote_or_backslash => quote_or_backslash,
        }),
        byte => Some(byte),
    })
}

fn write_string(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("a string can always be written to memory");
}
