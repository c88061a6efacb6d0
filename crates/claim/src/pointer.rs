//! JSON Pointers to values in a body, and a tree of them that recognizes these values while a body is read.

use std::fmt;

use jsonptr::Pointer;

/// An RFC 6901 JSON Pointer to a value inside a body. It is never empty, so it does not point to the whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonPointer {
    text: String,
    tokens: Vec<String>,
}

/// The reason why a text is not a JSON Pointer to a value inside a body.
#[derive(Debug, thiserror::Error)]
pub enum PointerError {
    /// The text is empty. In RFC 6901, the empty pointer points to the whole body.
    #[error("must not be empty")]
    Empty,
    /// The text does not begin with `/`.
    #[error("must be a JSON Pointer (RFC 6901), which begins with `/`")]
    NoSlash,
    /// The text has a `~` that is not part of `~0` or `~1`.
    #[error("must be a JSON Pointer (RFC 6901), which has `~` only in `~0` and `~1`")]
    Tilde,
}

impl JsonPointer {
    /// Parses a pointer such as `/event_id`, `/detail/id` or `/items/0/id`.
    pub(crate) fn parse(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Err(PointerError::Empty);
        }
        if !text.starts_with('/') {
            return Err(PointerError::NoSlash);
        }
        let pointer = Pointer::parse(text).map_err(|_| PointerError::Tilde)?;
        let tokens = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
        Ok(Self { text: text.to_owned(), tokens })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the text with line feeds and other special characters escaped, so that an error message stays on one
    /// line.
    pub(crate) fn quotation(&self) -> String {
        self.text.escape_debug().to_string()
    }

    /// Returns true if this pointer points to the value at `other`, or to an array or object that contains this value.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        other.tokens.starts_with(&self.tokens)
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A set of pointers as a tree: each token of a pointer leads from one node to the next.
#[derive(Clone, Debug)]
pub(crate) struct PointerTree {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    children: Vec<(String, usize)>,
    role: Option<Role>,
}

/// The meaning of the value at a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The part of the dedup key with this index.
    KeyPart(usize),
    /// An object member that the canonical form leaves out.
    Ignored,
}

/// The index of the root node, which stands for the whole body.
const ROOT: usize = 0;

impl PointerTree {
    pub(crate) fn new<'a>(pointers: impl Iterator<Item = (&'a JsonPointer, Role)>) -> Self {
        let mut tree = Self { nodes: vec![Node::default()] };
        for (pointer, role) in pointers {
            let mut node = ROOT;
            for token in &pointer.tokens {
                node = tree.child(node, token).unwrap_or_else(|| {
                    let child = tree.nodes.len();
                    tree.nodes.push(Node::default());
                    tree.nodes[node].children.push((token.clone(), child));
                    child
                });
            }
            tree.nodes[node].role = Some(role);
        }
        tree
    }

    fn child(&self, node: usize, token: &str) -> Option<usize> {
        let mut children = self.nodes[node].children.iter();
        children.find(|(name, _)| name == token).map(|&(_, child)| child)
    }
}

/// The position in a [`PointerTree`] while a body is read.
pub(crate) struct PointerTracker<'a> {
    tree: &'a PointerTree,
    /// The node of each open array or object that lies on the path of a pointer, the outermost first.
    open_nodes: Vec<usize>,
    /// Number of open arrays and objects.
    depth: usize,
    /// The node of the next value; `None` if this value is not on the path of a pointer.
    next: Option<usize>,
}

impl<'a> PointerTracker<'a> {
    pub(crate) fn new(tree: &'a PointerTree) -> Self {
        Self { tree, open_nodes: Vec::new(), depth: 0, next: Some(ROOT) }
    }

    /// Moves to the member `name` of the innermost object.
    pub(crate) fn at_name(&mut self, name: &str) {
        self.next = self.innermost_node().and_then(|node| self.tree.child(node, name));
    }

    /// Moves to the item at `index` of the innermost array.
    pub(crate) fn at_index(&mut self, index: usize) {
        let node = self.innermost_node().filter(|&node| !self.tree.nodes[node].children.is_empty());
        self.next = node.and_then(|node| self.tree.child(node, &index.to_string()));
    }

    /// Returns the meaning of the next value; `None` if no pointer points to this value.
    pub(crate) fn role(&self) -> Option<Role> {
        self.next.and_then(|node| self.tree.nodes[node].role)
    }

    /// Enters the next value, which is an array or an object.
    pub(crate) fn enter(&mut self) {
        self.open_nodes.extend(self.next);
        self.depth += 1;
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
        self.open_nodes.truncate(self.depth);
    }

    /// Returns the node of the innermost open array or object; `None` if it is not on the path of a pointer.
    fn innermost_node(&self) -> Option<usize> {
        if self.open_nodes.len() == self.depth { self.open_nodes.last().copied() } else { None }
    }
}
