//! Code shared by the command lines of this workspace.

/// Returns the first paragraph of clap's error as one line, without the hints and the usage that follow it.
#[must_use]
pub fn usage_error(error: &clap::Error) -> String {
    let text = error.to_string();
    let first_paragraph: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    first_paragraph.join(" ")
}
