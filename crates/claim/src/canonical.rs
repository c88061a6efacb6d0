//! Builds the canonical form of a body while the body is parsed. The digest is computed from this form.

use std::cmp::Ordering;

use crate::excerpt::Excerpt;

/// The error for a name that occurs twice in one JSON object.
pub(crate) struct RepeatedName(pub(crate) Excerpt);

/// The canonical form of a body, as far as the body has been read. While an object is open, its members are in the
/// order of the input. Closing the object sorts them.
pub(crate) struct CanonicalForm {
    out: Vec<u8>,
    open: Vec<Container>,
}

#[derive(Clone, Copy)]
pub(crate) enum ContainerKind {
    Array,
    Object,
}

/// An array or object whose beginning has been read, but not its end.
struct Container {
    kind: ContainerKind,
    /// Number of items or members that have begun so far.
    values: usize,
    /// Members that have begun so far; empty for an array.
    members: Vec<Member>,
    /// True if the canonical form leaves out the member that began last.
    ignores_member: bool,
}

/// The position of one `"name":value` in the canonical form. Storing positions instead of copies of the names saves
/// memory: a body of 1 MiB can have more than a hundred thousand members. An ignored member has `end == start`. Its
/// text stays in the buffer until the object is closed, because a repeated name is an error even if the member is
/// ignored.
struct Member {
    start: usize,
    end: usize,
}

impl Member {
    fn is_ignored(&self) -> bool {
        self.end == self.start
    }
}

impl CanonicalForm {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), open: Vec::new() }
    }

    /// Returns the kind of the innermost open array or object.
    pub(crate) fn innermost(&self) -> Option<ContainerKind> {
        self.open.last().map(|container| container.kind)
    }

    pub(crate) fn enter(&mut self, kind: ContainerKind) {
        self.out.push(match kind {
            ContainerKind::Array => b'[',
            ContainerKind::Object => b'{',
        });
        self.open.push(Container { kind, values: 0, members: Vec::new(), ignores_member: false });
    }

    /// Begins the next item of the innermost open array and returns the item's index.
    pub(crate) fn begin_item(&mut self) -> usize {
        let array = self.open.last_mut().expect("an array is open");
        let index = array.values;
        array.values += 1;
        if index > 0 {
            self.out.push(b',');
        }
        index
    }

    /// Begins the member `name` of the innermost open object. If `is_ignored`, the canonical form leaves the member
    /// out.
    pub(crate) fn begin_member(&mut self, name: &str, is_ignored: bool) {
        let object = self.open.last_mut().expect("an object is open");
        object.ignores_member = is_ignored;
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

    /// Adds a number, a boolean or null, given as its JSON text.
    pub(crate) fn push_literal(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.end_value();
    }

    /// Closes the innermost open array or object. Sorts the members of an object first, removes the ignored ones, and
    /// fails if two members have the same name.
    pub(crate) fn leave(&mut self) -> Result<(), RepeatedName> {
        let closed = self.open.pop().expect("only an open array or object is closed");
        match closed.kind {
            ContainerKind::Array => self.out.push(b']'),
            ContainerKind::Object => {
                let mut members = closed.members;
                let is_canonical = members.is_sorted_by(|a, b| self.compare_names(a, b).is_lt())
                    && !members.iter().any(Member::is_ignored);
                if !is_canonical {
                    self.rewrite_members(&mut members)?;
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

    /// Ends a value. In an object, this also ends the member that has this value.
    fn end_value(&mut self) {
        if let Some(object) = self.open.last_mut()
            && let Some(member) = object.members.last_mut()
        {
            member.end = if object.ignores_member { member.start } else { self.out.len() };
        }
    }

    fn compare_names(&self, a: &Member, b: &Member) -> Ordering {
        unescaped_name(&self.out[a.start..]).cmp(unescaped_name(&self.out[b.start..]))
    }

    fn rewrite_members(&mut self, members: &mut [Member]) -> Result<(), RepeatedName> {
        let start = members[0].start;
        members.sort_unstable_by(|a, b| self.compare_names(a, b));
        if let Some(pair) = members.windows(2).find(|pair| self.compare_names(&pair[0], &pair[1]).is_eq()) {
            let name: Vec<u8> = unescaped_name(&self.out[pair[0].start..]).collect();
            return Err(RepeatedName(Excerpt::of(&String::from_utf8_lossy(&name))));
        }
        let mut sorted = Vec::with_capacity(self.out.len() - start);
        for member in members.iter().filter(|member| !member.is_ignored()) {
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

/// Returns the bytes of a member's name, without the escapes that [`write_string`] added. `member` starts with the
/// name's opening quotation mark.
pub(crate) fn unescaped_name(member: &[u8]) -> impl Iterator<Item = u8> {
    let mut bytes = member[1..].iter().copied();
    std::iter::from_fn(move || match bytes.next()? {
        b'"' => None,
        b'\\' => Some(match bytes.next()? {
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            // A control character: `\u00` and two lower-case hex digits.
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
