//! Mutants: versions of the functions with one thing wrong. They prove that the simulation and the producer's verdicts catch
//! such a mistake.
//!
//! The functions inside are the deployed ones. A [`Mutant`] is a [`Decorator`](pipeline::Decorator) around them: it rewrites
//! requests and answers on the wire, payloads and answers of an invocation, or log lines. Mistakes that a decorator cannot
//! make are patches (`*.patch`) in the directory of this crate, which `scripts/mutants` applies to a worktree.
//!
//! | module | contents |
//! | --- | --- |
//! | `mutant` | the list of mutants |
//! | `decorator` | a mutant as a decorator of the functions |
//! | `wire` | an HTTP client that rewrites requests and answers |
//! | `invocation` | a sandbox that rewrites payloads and answers, and a log writer that rewrites lines |
//! | `batch` | the messages or records of one invocation, and what it logged about them |

mod batch;
mod decorator;
mod invocation;
mod mutant;
mod wire;

pub use mutant::Mutant;
