//! Tests of the command line: output, exit codes and error messages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs the producer in a folder, without the environment variables that could select a deployed stack.
fn producer(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.current_dir(folder).args(arguments);
    for variable in ["SQS_QUEUE_URL", "TF_DATA_DIR", "TF_WORKSPACE", "TF_CLI_ARGS"] {
        command.env_remove(variable);
    }
    command.output().unwrap()
}

fn verdict(folder: &Path, arguments: &[&str]) -> Value {
    let output = producer(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// By default, the command sends fifty messages of one event, and they become one object.
#[test]
fn default_run_becomes_one_object() {
    let folder = tempfile::tempdir().unwrap();
    let verdict = verdict(folder.path(), &["--json"]);
    for (name, number) in [
        ("sent", 50),
        ("claims", 1),
        ("duplicates", 49),
        ("conflicts", 0),
        ("rejected", 0),
        ("objects", 1),
        ("object_versions", 1),
        ("dead_letters", 0),
        ("lost", 0),
        ("extra", 0),
    ] {
        assert_eq!(verdict[name], number, "{name}: {verdict}");
    }
    assert_eq!(verdict["verdict"], "held");
    assert_eq!(verdict["not_checked"], serde_json::json!([]));
    assert!(verdict["invariants"].as_array().unwrap().iter().all(|invariant| invariant["held"] == true));

    let lines = verdict["bill"]["lines"].as_array().unwrap();
    let units = |what| lines.iter().find(|line| line["what"] == what).unwrap()["units"].as_f64().unwrap();
    assert_eq!((units("SQS: send"), units("DynamoDB: claims written"), units("S3: objects written")), (50.0, 1.0, 1.0));
    assert!(verdict["bill"]["usd_per_million_events"]["us-east-1"].as_f64().unwrap() > 5.0, "{}", verdict["bill"]);
}

/// Returns the lines that the command prints, including its progress.
fn printed_lines(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let output = producer(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The whole output fits on a terminal. All invariants that hold share one line, and only the cost follows the verdict.
#[test]
fn default_output_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let lines = printed_lines(folder.path(), &[]);
    assert!(lines.len() <= 40, "{} lines: {lines:#?}", lines.len());
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:#?}");
    let [.., invariants, verdict, cost] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!(invariants, "PASS  10 of 10 invariants (--json lists them)");
    assert_eq!(verdict, "verdict: held");
    assert!(cost.starts_with("about ") && cost.ends_with(" (us-east-1); --bill itemizes it"), "{cost}");
    assert!(cost.contains(" USD for a million events like these"), "{cost}");
    assert!(!lines.iter().any(|line| line.contains("S3: objects written")), "{lines:#?}");
}

/// `--bill` adds each item of the bill, and the output still ends with the total cost.
#[test]
fn bill_flag_itemizes_the_bill() {
    let folder = tempfile::tempdir().unwrap();
    let lines = printed_lines(folder.path(), &["--local", "--bill"]);
    for item in ["  SQS: send  ", "  S3: objects written  ", "  sum  ", "  left out:"] {
        assert!(lines.iter().any(|line| line.starts_with(item)), "{item}: {lines:#?}");
    }
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:#?}");
    let [.., verdict, cost] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!(verdict, "verdict: held");
    assert!(cost.ends_with(" USD for a million events like these (us-east-1)"), "{cost}");
}

/// `run` is the default command. The producer rejects options before an explicit command, because it would otherwise
/// ignore them.
#[test]
fn run_is_the_default_command() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--local", "--messages", "3", "--json"];
    assert_eq!(verdict(folder.path(), &arguments)["sent"], 3);
    assert_eq!(verdict(folder.path(), &[&["run"][..], &arguments].concat())["sent"], 3);
    assert_eq!(producer(folder.path(), &["--messages", "3", "run"]).status.code(), Some(2));
}

/// `--table` without a queue is an error, and does not start a run on the embedded pipeline.
#[test]
fn table_without_queue_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = producer(folder.path(), &["--table", "t"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--queue-url"));
}

/// A byte order mark, CRLF line ends and blank lines in a file are ignored.
#[test]
fn file_may_have_editor_artifacts() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\u{feff}{\"event_id\":\"a\"}\r\n\r\n{\"event_id\":\"b\"}\r\n";
    std::fs::write(folder.path().join("f"), text).unwrap();
    let verdict = verdict(folder.path(), &["--json", "--file", "f"]);
    assert_eq!((&verdict["objects"], &verdict["verdict"]), (&2.into(), &"held".into()));
}

/// With `--copies 3`, each event of a file still becomes one object, and the object holds the event as it was sent.
#[test]
fn copied_file_becomes_one_object_per_event() {
    let folder = tempfile::tempdir().unwrap();
    let line = |n| format!("{{ \"z\": 1.{n}0, \"meta\": {{\"id\": {n}}}, \"a\": [1E2, \"\\u00e9\"] }}\n");
    std::fs::write(folder.path().join("some.ndjson"), (0..1_000).map(line).collect::<String>()).unwrap();
    let arguments = ["--json", "--file", "some.ndjson", "--dedup-key", "/meta/id", "--copies", "3"];
    let verdict = verdict(folder.path(), &arguments);
    assert_eq!(
        (&verdict["sent"], &verdict["objects"], &verdict["duplicates"]),
        (&3_000.into(), &1_000.into(), &2_000.into())
    );
    assert_eq!(verdict["verdict"], "held");
}

/// If two lines of a file have the same id but different content, one of them is a conflict, and the verdict is still
/// `held`.
#[test]
fn conflicts_in_a_file_hold() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "{\"event_id\":1,\"x\":1}\n{\"event_id\":1,\"x\":2}\n").unwrap();
    let verdict = verdict(folder.path(), &["--json", "--file", "f"]);
    assert_eq!(
        (&verdict["conflicts"], &verdict["objects"], &verdict["verdict"]),
        (&1.into(), &1.into(), &"held".into())
    );
}

/// If an argument, a file or a Terraform state is unusable, the command prints one line on standard error and exits
/// with 2.
#[test]
fn unusable_input_is_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.ndjson"), "{\"event_id\":\"a\"}\nnope\n\n{\"x\":1}\n").unwrap();
    std::fs::write(folder.path().join("ffff.ndjson"), "{\"event_id\":\"a\"}\n{\"event_id\":\"b\u{ffff}\"}\n").unwrap();
    std::fs::write(folder.path().join("esc.ndjson"), "{\"event_id\":\"\u{1b}[2J\"}\n").unwrap();
    std::fs::write(folder.path().join("large.ndjson"), format!("{{\"event_id\":\"{}\"}}\n", "a".repeat(1 << 20)))
        .unwrap();
    std::fs::create_dir(folder.path().join("terraform")).unwrap();
    std::fs::write(folder.path().join("terraform/terraform.tfstate"), "{").unwrap();
    for (stack, state) in [
        ("half", r#"{"outputs":{},"resources":[{"type":"aws_sqs_queue"}]}"#),
        ("other", r#"{"outputs":{"x":{"value":"y","type":"string"}},"resources":[]}"#),
    ] {
        std::fs::create_dir(folder.path().join(stack)).unwrap();
        std::fs::write(folder.path().join(stack).join("terraform.tfstate"), state).unwrap();
    }
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    // Only `terraform` can read the state of a workspace. In this test, it finds a malformed state or is not installed.
    std::fs::create_dir_all(folder.path().join("workspace/terraform.tfstate.d/dev")).unwrap();
    std::fs::create_dir(folder.path().join("workspace/.terraform")).unwrap();
    std::fs::write(folder.path().join("workspace/.terraform/environment"), "dev").unwrap();
    std::fs::write(folder.path().join("workspace/terraform.tfstate.d/dev/terraform.tfstate"), "{").unwrap();
    let local =
        |arguments: &[&str]| [&["--local"], arguments].concat().iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    for (arguments, expected) in [
        (local(&["--messages", "0"]), &["--messages"][..]),
        (local(&["--bogus"]), &["--bogus"]),
        (local(&["--file", "nowhere.ndjson"]), &["nowhere.ndjson"]),
        (local(&["--file", "bad.ndjson"]), &["line 2", "line 4", "nothing was sent"]),
        (local(&["--file", "ffff.ndjson"]), &["line 2, column 15: U+FFFF is a character that SQS does not accept"]),
        (local(&["--file", "esc.ndjson"]), &["line 1, column 14: U+001B is a character that SQS does not accept"]),
        (local(&["--file", "large.ndjson"]), &["line 1: 1048591 bytes exceed the queue's limit of 1048576"]),
        (local(&["--event-id", "b\u{fffe}"]), &["--event-id", "U+FFFE"]),
        (local(&["--file", "\u{1b}[2J\n"]), &["failed to read \\u{1b}[2J\\n: "]),
        (local(&["--table", "t"]), &["--local", "--table"]),
        (local(&["--messages", "2000000", "--copies", "2"]), &["4000000 messages", "2000000"]),
        (vec!["--terraform-dir", "nowhere"].into_iter().map(str::to_owned).collect(), &["no such folder"]),
        (vec!["--terraform-dir", "empty"].into_iter().map(str::to_owned).collect(), &["no Terraform state in empty"]),
        // A malformed state is an error, not a fallback to the embedded pipeline.
        (vec![], &["terraform/terraform.tfstate"]),
        (vec!["--terraform-dir".to_owned(), "half".to_owned()], &["half has resources, but no outputs"]),
        (vec!["--terraform-dir".to_owned(), "other".to_owned()], &["other", "sqs_queue_url"]),
        (vec!["--terraform-dir".to_owned(), "workspace".to_owned()], &["workspace", "terraform"]),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = producer(folder.path(), &arguments);
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {problem}");
        assert_eq!(problem.lines().count(), 1, "{problem}");
        assert!(expected.iter().all(|text| problem.contains(text)), "{problem}");
    }
}

/// An error about a line of a file gives the line and, where possible, the column, both as an editor shows them. An
/// error about the format of the whole file says how to convert it.
#[test]
fn file_problems_say_where_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let utf_16 =
        |order: fn(u16) -> [u8; 2]| "\u{feff}{\"event_id\":1}\n".encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let strict = "the body is not strict JSON (RFC 7493, at most 128 levels deep)";
    for (content, expected) in [
        (
            b"{\"event_id\":1}\nnope\n".to_vec(),
            format!("nothing was sent: line 2, column 1: {strict}: invalid literal\n"),
        ),
        ("{\"event_id\":\"é\", }\n".into(), format!("line 1, column 16: {strict}: trailing comma not allowed\n")),
        (b"\xef\xbb\xbf{\"event_id\":1}}\n".to_vec(), format!("line 1, column 15: {strict}: trailing data\n")),
        (
            format!("{{\"event_id\":1,\"x\":{}\n", "[".repeat(200)).into(),
            format!("column 146: {strict}: nested too deep\n"),
        ),
        (b"\n{\"event_id\":\"a\xff\"}\n".to_vec(), "line 2, column 15: the line is not UTF-8\n".to_owned()),
        (
            utf_16(u16::to_le_bytes),
            "because it is UTF-16; nothing was sent: convert it with `iconv -f UTF-16 -t UTF-8`\n".to_owned(),
        ),
        (utf_16(u16::to_be_bytes), "because it is UTF-16; ".to_owned()),
        (utf_16(u16::to_le_bytes)[2..].to_vec(), "because it is UTF-16; ".to_owned()),
        (
            b"\x1f\x8b\x08\x00".to_vec(),
            "because it is compressed with gzip; nothing was sent: decompress it with `gunzip`\n".to_owned(),
        ),
        (
            b"[\n{\"event_id\":1},\n{\"event_id\":2}\n]\n".to_vec(),
            "because it is one JSON array; nothing was sent: convert it with `jq -c '.[]'`\n".to_owned(),
        ),
        (b"[{\"event_id\":1}]".to_vec(), "because it is one JSON array; ".to_owned()),
        (
            b"{\n  \"event_id\": 1\n}\n".to_vec(),
            "one JSON object over several lines; nothing was sent: convert it with `jq -c .`\n".to_owned(),
        ),
        (b"{\"id\":1}\n".to_vec(), "line 1: the body has no dedup key at `/event_id`\n".to_owned()),
    ] {
        std::fs::write(folder.path().join("f"), &content).unwrap();
        let output = producer(folder.path(), &["--local", "--file", "f"]);
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), problem.lines().count()), (Some(2), 1), "{problem}");
        assert!(problem.contains(&expected), "{expected}: {problem}");
    }
    // A JSON array can be a valid event.
    std::fs::write(folder.path().join("f"), "[{\"id\":1}]\n").unwrap();
    assert_eq!(verdict(folder.path(), &["--json", "--file", "f", "--dedup-key", "/0/id"])["objects"], 1);
}

/// If a setting is not valid, every command prints a one-line error that names the flag.
#[test]
fn bad_settings_name_their_flag() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, expected) in [
        (&["--dedup-key", "id"][..], r#"error: --dedup-key is "id": must be a JSON Pointer such as `/event_id`"#),
        (&["--dedup-key", r#"["/a"]"#], "--dedup-key is \"[\\\"/a\\\"]\": must have 2 to 8 JSON Pointers, but has 1"),
        (&["--dedup-key", r#"["/a","b"]"#], "element 2, \"b\""),
        (&["--dedup-key", "attribute:"], "must name a message attribute"),
        (&["--conflict-ignore", "/a"], "error: --conflict-ignore is \"/a\": must be a JSON array of strings"),
        (&["--conflict-ignore", r#"["/event_id"]"#], "element 1, `/event_id`, must not be or contain `/event_id`"),
        (&["--log-routine-outcomes", "no"], "--log-routine-outcomes"),
    ] {
        for command in [&["run", "herd", "--local"][..], &["local", "--port", "0"], &["trace", "a"]] {
            let output = producer(folder.path(), &[command, settings].concat());
            let problem = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), problem.lines().count()), (Some(2), 1), "{command:?}: {problem}");
            assert!(problem.contains(expected), "{expected}: {problem}");
        }
    }
    for (arguments, expected) in [
        (
            &["run", "restamped", "--dedup-key", "content"][..],
            "cannot run `restamped`: it needs the Terraform settings",
        ),
        (
            &["run", "herd", "--dedup-key", "/id"],
            "cannot send generated events: the body has no dedup key at `/id`: use",
        ),
        (&["run", "large", "--dedup-key", r#"["/source","/event_id"]"#], "cannot send generated events"),
        (
            &["run", "herd", "--dedup-key", "attribute:a", "--event-id", "a\u{1}"],
            "as the message attribute `a`: --event-id",
        ),
    ] {
        let output = producer(folder.path(), &[arguments, &["--local"]].concat());
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), problem.lines().count()), (Some(2), 1), "{arguments:?}: {problem}");
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
}

/// The producer accepts a file of events with any kind of dedup key. Only members that are not in `--conflict-ignore`
/// cause conflicts.
#[test]
fn file_may_have_every_kind_of_key() {
    let folder = tempfile::tempdir().unwrap();
    let shop = |shop, order| format!("{{\"shop\":\"{shop}\",\"order\":{order},\"at\":{}}}\n", fastrand::u32(..));
    let orders: String =
        ["7", "\"7\"", "8", "8"].iter().flat_map(|order| [shop("a", order), shop("b", order)]).collect();
    std::fs::write(folder.path().join("orders"), orders).unwrap();
    let run = |arguments: &[&str]| {
        let verdict = verdict(folder.path(), &[&["--json"], arguments].concat());
        assert_eq!(verdict["verdict"], "held", "{verdict}");
        ["objects", "duplicates", "conflicts"].map(|name| verdict[name].as_u64().unwrap())
    };
    let file = ["--file", "orders", "--copies", "2", "--dedup-key"];
    let key = r#"["/shop","/order"]"#;
    // The order numbers 7 and "7" are the same, but the bodies differ. The two orders 8 differ only in `at`.
    assert_eq!(run(&[&file[..], &[key, "--conflict-ignore", r#"["/at"]"#]].concat()), [4, 8, 4]);
    assert_eq!(run(&[&file[..], &[key]].concat()), [4, 4, 8]);
    assert_eq!(run(&[&file[..], &["content"]].concat()), [8, 8, 0]);

    let message = |id: &str, kind: &str, body: &str| {
        let attributes = serde_json::json!({
            "order": { "StringValue": id, "DataType": kind }, "traceparent": { "StringValue": "x", "DataType": "String" }
        });
        let message = serde_json::json!({ "MessageId": "m", "ReceiptHandle": "r", "Body": body, "MessageAttributes": attributes });
        format!("{message}\n")
    };
    let lines =
        [message("7", "Number.int", " 1.50 "), message("7", "String", "1.50"), message("8", "String.a", "1.50")];
    std::fs::write(folder.path().join("messages"), lines.concat()).unwrap();
    assert_eq!(run(&["--file", "messages", "--dedup-key", "attribute:order"]), [2, 1, 0]);

    let form = "a line must be an object with `Body` and `MessageAttributes`";
    for (line, expected) in [
        ("{\"order\":7}\n".to_owned(), form),
        ("{\"Body\":7}\n".to_owned(), form),
        ("{\"Body\":\"{}\"}\n".to_owned(), "line 1: the message has no attribute `order`, which is the dedup key\n"),
        (message("", "String", "1"), "line 1: SQS does not accept the attribute `order`, because it is empty\n"),
        (message("\u{1}", "String", "1"), "line 1: SQS does not accept U+0001, which is in the attribute `order`\n"),
        (message("7", "String", "nope"), "line 1: the body is not strict JSON"),
        (message("7", "String", "\"\u{ffff}\""), "line 1: U+FFFF is a character that SQS does not accept\n"),
        (
            message("7", "String", "1").replace("traceparent", "a..b"),
            "SQS does not accept the attribute name \"a..b\"\n",
        ),
        (
            message("7", "String", "1").replace("\"StringValue\":\"x\"", "\"BinaryValue\":\"eA==\""),
            "cannot send the attribute `traceparent` of the type String, only strings and numbers\n",
        ),
    ] {
        std::fs::write(folder.path().join("f"), &line).unwrap();
        let output = producer(folder.path(), &["--local", "--file", "f", "--dedup-key", "attribute:order"]);
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), problem.lines().count()), (Some(2), 1), "{line}: {problem}");
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
}

/// Without log lines about routine outcomes, the text shows which invariants were not checked.
#[test]
fn unchecked_invariants_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let lines = printed_lines(folder.path(), &["--log-routine-outcomes", "false"]);
    let [.., passed, first, second, third, verdict, _] = &lines[..] else { panic!("{lines:#?}") };
    assert_eq!(passed, "PASS  7 of 7 invariants (--json lists them)");
    assert_eq!(first, "SKIP  each message ended as won, duplicate, conflict or dead letter");
    assert!(second.starts_with("SKIP  ") && third.starts_with("SKIP  "), "{lines:#?}");
    assert_eq!(verdict, "verdict: held");
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:#?}");
}

/// Every option that takes a path accepts a file name that is not UTF-8.
#[cfg(unix)]
#[test]
fn paths_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let folder = tempfile::tempdir().unwrap();
    let name = |bytes| OsStr::from_bytes(bytes);
    std::fs::write(folder.path().join(name(b"caf\xe9.ndjson")), "{\"event_id\":\"a\"}\n").unwrap();
    let state = folder.path().join(name(b"stack\xe9"));
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("terraform.tfstate"), r#"{"outputs":{},"resources":[{}]}"#).unwrap();
    let producer = |arguments: &[&OsStr]| {
        Command::new(env!("CARGO_BIN_EXE_producer")).current_dir(folder.path()).args(arguments).output().unwrap()
    };
    let file = [name(b"--file"), name(b"caf\xe9.ndjson"), name(b"--report"), name(b"page\xe9.html"), name(b"--local")];
    let output = producer(&file);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join(name(b"page\xe9.html")).exists());
    let output = producer(&[name(b"--terraform-dir"), name(b"stack\xe9")]);
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(problem.contains("has resources, but no outputs"), "{problem}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    let output = command.current_dir(folder.path()).env("SQS_QUEUE_URL", name(b"http://caf\xe9/")).output().unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && problem.contains("SQS_QUEUE_URL must be UTF-8"), "{problem}");
}

/// Control characters in an event id are escaped in the log lines and in the JSON report.
#[test]
fn control_characters_never_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let id = "\u{1b}[2J\nevil\u{9b}31m\u{7f}\u{202e}";
    for format in ["--logs", "--json"] {
        let arguments = ["--local", "--messages", "2", "--event-id", id, "--logs", format];
        let arguments = if format == "--json" { &arguments[..] } else { &arguments[..6] };
        let output = producer(folder.path(), arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(output.status.success() && text.contains("evil"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{text:?}");
    }
}

/// The producer's SDK clients do not support every profile that the AWS CLI supports. For an unsupported profile, the
/// error is one line that says what to do.
#[test]
fn unsupported_profile_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let sso = "sso_start_url = https://example.com/start\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = r\n";
    let session = "sso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n\
                   [sso-session s]\nsso_start_url = https://example.com/start\nsso_region = us-east-1\n";
    for profile in
        [sso, session, "login_session = arn:aws:iam::123456789012:user/a\n", "credential_process = /bin/true\n"]
    {
        std::fs::write(folder.path().join("config"), format!("[profile p]\nregion = us-east-1\n{profile}")).unwrap();
        for command in [&["run", "herd"][..], &["trace", "a"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_producer"))
                .current_dir(folder.path())
                .args(command)
                .args(["--queue-url", "http://127.0.0.1:1/123456789012/q", "--object-prefix", "e/"])
                .env_clear()
                .envs([("AWS_PROFILE", "p"), ("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "none")])
                .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
                .output()
                .unwrap();
            let problem = String::from_utf8(output.stderr).unwrap();
            let expected = "error: cannot use the profile's credentials: run eval \"$(aws configure export-credentials --format env)\" \
                            first\n";
            assert_eq!((output.status.code(), problem.as_str()), (Some(4), expected), "{profile}");
        }
    }
}

/// After Ctrl-C, the run still prints a report, which is marked as partial.
#[test]
fn ctrl_c_ends_a_run_with_a_partial_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.current_dir(folder.path()).args(["run", "soak", "--local", "--json", "--duration", "60"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    // Wait for a progress line, which shows that the run has begun to send.
    let mut line = String::new();
    while !line.contains(" of 3000 sent") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the command ended before Ctrl-C");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &verdict["verdict"], &verdict["partial"]),
        (Some(3), &"inconclusive".into(), &true.into())
    );
    let (sent, unsent) = (verdict["sent"].as_u64().unwrap(), verdict["unsent"].as_u64().unwrap());
    assert!(sent > 0 && unsent > 0 && sent + unsent == 3_000, "{verdict}");
    assert!(verdict["claims"].as_u64().unwrap() > 0, "{verdict}");
    assert_eq!(verdict["lost"], 0, "{verdict}");
    // The bill is scaled by the number of events that were sent, not by the number that was planned.
    let events = verdict["events"].as_f64().unwrap();
    assert!(verdict["events"].as_u64().unwrap() <= sent, "{verdict}");
    let lines = verdict["bill"]["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["what"] == "SQS: send").unwrap();
    let expected = line["units"].as_f64().unwrap() * 0.40 / events;
    assert!((line["usd"]["us-east-1"].as_f64().unwrap() / expected - 1.0).abs() < 1e-9, "{line} {events}");
}

/// If Ctrl-C is pressed while a run is still building its messages, the run ends without a report.
#[test]
fn ctrl_c_interrupts_a_run_before_it_sends() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.current_dir(folder.path()).args(["run", "distinct", "--local", "--messages", "2000000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("target: "), "{line}");
    // Building two million events takes many seconds.
    let interrupted = std::time::Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{rest}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "interrupted: no report was made\n");
    assert!(!rest.contains("sending"), "{rest}");
    assert!(interrupted.elapsed() < std::time::Duration::from_secs(5), "{:?}", interrupted.elapsed());
}

/// The JSON report has the timeline, the repeated events, the latency of each step, and a text that explains the
/// clocks.
#[test]
fn report_has_latency_and_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let verdict = verdict(folder.path(), &["run", "mixed", "--local", "--messages", "40", "--json"]);
    let latency = &verdict["latency"];
    for step in ["sent_to_claimed", "claimed_to_archived", "sent_to_archived"] {
        let ms = |name: &str| latency[step][name].as_u64().unwrap();
        assert_eq!((ms("events"), ms("before_start")), (20, 0), "{verdict}");
        assert!(ms("p50_ms") <= ms("p90_ms") && ms("p90_ms") <= ms("p99_ms") && ms("p99_ms") <= ms("max_ms"));
    }
    assert!(latency["clocks"].as_str().unwrap().contains("ingest-fn"));
    let sum = |name: &str| {
        verdict["timeline"][name].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("sent"), sum("claimed"), sum("archived")), (40, 20, 20));
    let repeated = verdict["repeated_events"].as_array().unwrap();
    assert_eq!(repeated.iter().map(|event| event["duplicates"].as_u64().unwrap()).sum::<u64>(), 20);
}

/// `list` names every scenario. An unknown scenario, or an option that does not fit the scenario, gives a one-line
/// error.
#[test]
fn scenarios_are_listed_and_validated() {
    let folder = tempfile::tempdir().unwrap();
    let listed = String::from_utf8(producer(folder.path(), &["list"]).stdout).unwrap();
    for name in [
        "herd",
        "distinct",
        "mixed",
        "conflicts",
        "cloudevents",
        "restamped",
        "poison",
        "large",
        "redelivery",
        "outage",
        "soak",
    ] {
        assert!(listed.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name}: {listed}");
    }
    for (arguments, expected) in [
        (&["run", "bogus"][..], "bogus"),
        (&["run", "herd", "--file", "f"], "--file"),
        (&["run", "herd", "--local", "--duplicates", "0.5"], "--duplicates"),
        (&["run", "herd", "--local", "--duration", "5"], "--rate"),
        (&["run", "mixed", "--local", "--duplicates", "2"], "0 to 1"),
        (&["trace", "-1"], "-- -1"),
        (&["run", "outage", "--queue-url", "http://127.0.0.1:1/123456789012/q", "--object-prefix", "e/"], "--local"),
    ] {
        let output = producer(folder.path(), arguments);
        let problem = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), problem.lines().count()), (Some(2), 1), "{arguments:?}: {problem}");
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn unreachable_stack_is_exit_code_4() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing listens on port 1 of loopback.
    let output = Command::new(env!("CARGO_BIN_EXE_producer"))
        .current_dir(folder.path())
        .args(["--queue-url", "http://127.0.0.1:1/123456789012/q"])
        .envs([("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_REGION", "sa-east-1")])
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("target: "));
}
