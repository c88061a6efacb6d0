//! Mutants: versions of the two functions that are wrong on purpose, each in one way. A check that does not catch a mutant
//! would not catch the same mistake in the real code. The simulation and the producer's verdicts are tested with these
//! mutants.
//!
//! A [`Mutant`] is a [`Decorator`](pipeline::Decorator) around the deployed functions. It does not change their code. It
//! rewrites the functions' requests to AWS, the answers to these requests, the payloads or answers of invocations, or
//! log lines. Mistakes that a decorator cannot make are patches (`*.patch`) in the directory of this crate.
//! `scripts/mutants` applies them to a worktree.
//!
//! | module | contents |
//! | --- | --- |
//! | `mutant` | the list of mutants |
//! | `decorator` | a mutant as a decorator of the functions |
//! | `wire` | an HTTP client that rewrites requests to AWS, and the answers to them |
//! | `invocation` | a sandbox that rewrites payloads and answers of invocations, and a log writer that rewrites lines |
//! | `batch` | the messages or records of one invocation, and what the function logged about them |

mod batch;
mod decorator;
mod invocation;
mod mutant;
mod wire;

pub use mutant::Mutant;
