//! README's list of guarantees, line by line, and the list of what is not guaranteed: one test each, on the embedded
//! pipeline.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod guarantees;
mod not_guaranteed;
mod traffic;

/// The doc comments of a file's tests, in order, each as one line.
fn documented(source: &str) -> Vec<String> {
    let (mut texts, mut text) = (Vec::new(), Vec::new());
    for line in source.lines() {
        match line.strip_prefix("/// ") {
            Some(more) => text.push(more),
            None if line.starts_with("#[tokio::test") => {}
            None if line.starts_with("async fn ") => texts.push(std::mem::take(&mut text).join(" ")),
            None => text.clear(),
        }
    }
    texts
}

/// The items of a list, which begin with `marker`'s answer, each as one line without its number or dash.
fn items(list: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in list.lines().take_while(|line| !line.is_empty()) {
        let number_or_dash = line.split_once(' ').filter(|(first, _)| *first == "-" || first.ends_with('.'));
        match (number_or_dash, line.strip_prefix("  ")) {
            (Some((_, item)), None) if !line.starts_with(' ') => items.push(item.to_owned()),
            (_, Some(more)) => items.last_mut().unwrap().extend([" ", more.trim_start()]),
            _ => panic!("{line:?} neither begins nor continues an item"),
        }
    }
    items
}

#[test]
fn readme_and_tests_say_the_same_in_the_same_order() {
    let readme = include_str!("../../../../README.md");
    let (_, readme) = readme.split_once("## Guarantees\n\n").unwrap();
    let (guaranteed, rest) = readme.split_once("Not guaranteed:\n").unwrap();
    assert_eq!(items(guaranteed), documented(include_str!("guarantees.rs")));
    assert_eq!(items(rest), documented(include_str!("not_guaranteed.rs")));
    assert_eq!((items(guaranteed).len(), items(rest).len()), (8, 5));
}
