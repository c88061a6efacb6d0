//! One test for each guarantee in the README, and for each thing that the README says is not guaranteed. The tests run on
//! the embedded pipeline.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod exceptions;
mod guarantees;
mod not_guaranteed;
mod packs;
mod traffic;

/// Returns the doc comments of a file's tests in order, each as one line.
fn doc_comments(source: &str) -> Vec<String> {
    let mut comments = Vec::new();
    let mut lines = Vec::new();
    for line in source.lines() {
        match line.strip_prefix("/// ") {
            Some(comment) => lines.push(comment),
            None if line.starts_with("#[tokio::test") => {}
            None if line.starts_with("async fn ") => comments.push(std::mem::take(&mut lines).join(" ")),
            None => lines.clear(),
        }
    }
    comments
}

/// Returns the items of a Markdown list, each as one line without its number or dash.
fn list_items(list: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in list.lines().take_while(|line| !line.is_empty()) {
        let number_or_dash = line.split_once(' ').filter(|(first, _)| *first == "-" || first.ends_with('.'));
        match (number_or_dash, line.strip_prefix("  ")) {
            (Some((_, item)), None) if !line.starts_with(' ') => items.push(item.to_owned()),
            (_, Some(more)) => items.last_mut().unwrap().extend([" ", more.trim_start()]),
            _ => panic!("{line:?} neither starts nor continues an item"),
        }
    }
    items
}

/// The README's two lists are the doc comments of the tests, word for word and in the same order.
#[test]
fn readme_lists_match_the_tests() {
    let readme = include_str!("../../../../README.md");
    let (_, readme) = readme.split_once("## Guarantees\n\n").unwrap();
    let (guaranteed, rest) = readme.split_once("Not guaranteed:\n").unwrap();
    assert_eq!(list_items(guaranteed), doc_comments(include_str!("guarantees.rs")));
    assert_eq!(list_items(rest), doc_comments(include_str!("not_guaranteed.rs")));
    assert_eq!((list_items(guaranteed).len(), list_items(rest).len()), (8, 6));
}
