//! Mutants: versions of `ingest-fn` and `archive-fn`, each with one mistake made on purpose. They test the simulation
//! and the verdicts of the producer: a check that misses a mutant would also miss the same mistake in the real code.
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
