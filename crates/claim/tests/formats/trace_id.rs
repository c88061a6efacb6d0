//! Trace ids in X-Ray tracing headers, in `traceparent` and in stored claims.

use claim::TraceId;
use proptest::prelude::*;

use crate::{W3C, XRAY};

fn from_header(header: &str) -> Option<String> {
    TraceId::from_xray_header(header).map(|id| id.to_string())
}

fn from_traceparent(text: &str) -> Option<String> {
    TraceId::from_traceparent(text).map(|id| id.to_string())
}

/// The trace id is the `Root` field of an X-Ray tracing header, at any position in the header.
#[test]
fn root_of_the_tracing_header_is_the_id() {
    for header in [
        format!("Root={XRAY}"),
        format!("Root={XRAY};Parent=53995c3f42cd8ad8;Sampled=1"),
        format!("Root={XRAY};Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a87bd80c:0|68fd508a:5|c512fbe3:2"),
        format!("Self=1-67891234-12456789abcdef012345678;Root={XRAY};CalledFrom=app"),
        format!("Parent=53995c3f42cd8ad8; Root={XRAY} ;Lineage=1:2:3"),
        format!(" Sampled=? ; Root={XRAY}"),
        format!(";;Root={XRAY};"),
    ] {
        assert_eq!(from_header(&header).as_deref(), Some(XRAY), "{header}");
    }
    assert!(from_header(&format!("Root={}", XRAY.to_uppercase())).is_some());
    for header in [
        "",
        ";",
        XRAY,
        "Root",
        "Root=",
        "Parent=53995c3f42cd8ad8;Sampled=1",
        "Root=1-5759e988",
        "Root=1-5759e988-",
        "Root=2-5759e988-bd862e3fe1be46a994272793",
        "root=1-5759e988-bd862e3fe1be46a994272793",
        "Root = 1-5759e988-bd862e3fe1be46a994272793",
        "Self=1-5759e988-bd862e3fe1be46a994272793",
        "XRoot=1-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a99427279",
        "Root=1-5759e988-bd862e3fe1be46a9942727931",
        "Root=1-5759e98-bd862e3fe1be46a994272793",
        "Root=1-5759e98g-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a99427279g",
        "Root=1-5759e988-bd862e3fe1be46a99427-793",
        "Root=4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        assert_eq!(from_header(header), None, "{header}");
    }
}

/// A `traceparent` of version 00 has exactly four fields. Later versions may have more fields.
#[test]
fn traceparent_follows_w3c() {
    for text in [
        format!("00-{W3C}-00f067aa0ba902b7-01"),
        format!("00-{W3C}-00f067aa0ba902b7-ff"),
        format!("01-{W3C}-00f067aa0ba902b7-00"),
        format!("cc-{W3C}-00f067aa0ba902b7-01-later-fields"),
        format!("fe-{W3C}-00f067aa0ba902b7-01-"),
        format!("00-{}1-00f067aa0ba902b7-01", "0".repeat(31)),
    ] {
        assert_eq!(from_traceparent(&text).as_deref(), Some(&text[3..35]), "{text}");
    }
    let upper = W3C.to_uppercase();
    let zeros = "0".repeat(32);
    for text in [
        String::new(),
        W3C.to_owned(),
        format!("00-{W3C}"),
        format!("00-{W3C}-00f067aa0ba902b7"),
        format!("00-{W3C}-00f067aa0ba902b7-"),
        format!("00-{W3C}-00f067aa0ba902b7-01-"),
        format!("00-{W3C}-00f067aa0ba902b7-01-x"),
        format!("01-{W3C}-00f067aa0ba902b7-01x"),
        format!("01-{W3C}-00f067aa0ba902b7-01.x"),
        format!("ff-{W3C}-00f067aa0ba902b7-01"),
        format!("0-{W3C}-00f067aa0ba902b7-01"),
        format!("000-{W3C}-00f067aa0ba902b7-01"),
        format!("0A-{W3C}-00f067aa0ba902b7-01"),
        format!(" 00-{W3C}-00f067aa0ba902b7-01"),
        format!("00-{W3C}-00f067aa0ba902b7-01\n"),
        format!("00_{W3C}_00f067aa0ba902b7_01"),
        format!("00-{upper}-00f067aa0ba902b7-01"),
        format!("00-{zeros}-00f067aa0ba902b7-01"),
        format!("00-{W3C}0-00f067aa0ba902b7-01"),
        format!("00-{}-00f067aa0ba902b7-01", &W3C[1..]),
        format!("00-{W3C}-0000000000000000-01"),
        format!("00-{W3C}-00F067AA0BA902B7-01"),
        format!("00-{W3C}-00f067aa0ba902b-01"),
        format!("00-{W3C}-00f067aa0ba902b7-0"),
        format!("00-{W3C}-00f067aa0ba902b7-0A"),
        format!("00-{W3C}-00f067aa0ba902b7-001"),
    ] {
        assert_eq!(from_traceparent(&text), None, "{text:?}");
    }
}

/// A stored id is an X-Ray trace id or a W3C trace id.
#[test]
fn stored_id_has_one_of_two_forms() {
    for text in [XRAY, W3C] {
        assert_eq!(TraceId::parse(text).unwrap().as_str(), text);
    }
    let padded = format!("{W3C} ");
    let header = format!("Root={XRAY}");
    for text in ["", "x", &W3C[1..], &padded, &header, &W3C.to_uppercase(), &"0".repeat(32)] {
        assert_eq!(TraceId::parse(text), None, "{text}");
    }
}

proptest! {
    /// Every id from a tracing header or a `traceparent` can be stored and read again. It needs no escape in JSON and
    /// no encoding in an HTTP header.
    #[test]
    fn every_id_can_be_stored(
        time in "[0-9a-fA-Fg]{7,9}",
        random in "[0-9a-fA-F]{24}|[0-9a-fé -]{23,25}",
        id in "[0-9a-f]{32}|[0-9a-fA]{31,33}",
        rest in "(-[0-9a-f]{1,2}|-|;| |Root=){0,3}",
    ) {
        let is_hex = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let header = format!("Sampled=1;Root=1-{time}-{random};{rest}");
        prop_assert_eq!(from_header(&header).is_some(), is_hex(&time, 8) && is_hex(&random, 24));
        let traceparent = format!("00-{id}-00f067aa0ba902b7-01{rest}");
        let is_lower = is_hex(&id, 32) && !id.contains('A') && id.contains(|digit| digit != '0');
        prop_assert_eq!(from_traceparent(&traceparent).is_some(), is_lower && rest.is_empty());
        for found in [from_header(&header), from_traceparent(&traceparent)].into_iter().flatten() {
            prop_assert_eq!(TraceId::parse(&found).unwrap().to_string(), &found[..]);
            prop_assert!(found.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'), "{}", found);
        }
    }
}
