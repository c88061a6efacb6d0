//! Showing what a run came to: to a person in a terminal, and as a page.

pub mod page;
pub mod text;

mod charts;
mod cost;
