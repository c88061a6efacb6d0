//! What the command lines of this workspace have in common.

/// Returns clap's error in one line: its first paragraph. clap goes on with hints and the usage.
#[must_use]
pub fn usage_error(error: &clap::Error) -> String {
    let text = error.to_string();
    let first_paragraph: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    first_paragraph.join(" ")
}
