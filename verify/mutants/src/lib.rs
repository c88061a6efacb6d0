//! Mutants: the functions with one thing wrong, to show that the simulation and the producer's verdicts would catch it.
//!
//! The functions are the deployed ones. A [`Mutant`] is a [`Decorator`](pipeline::Decorator) around them: it rewrites what
//! goes over the wire, what an invocation gets and answers, or what the log says. What only wrong code can do is a patch
//! beside this crate (`*.patch`), which `scripts/mutants` applies to a worktree.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `mutant` | the list of mutants, and where each of them is made |
//! | `wire` | an HTTP client that rewrites requests and answers |
//! | `invocation` | a sandbox that rewrites payloads and answers, and a log writer that rewrites lines |
//! | `batch` | what one invocation was given, and what it logged |

mod batch;
mod decorator;
mod invocation;
mod mutant;
mod wire;

pub use mutant::Mutant;
