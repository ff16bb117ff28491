//! Tests of `send_email` with a server that accepts, defers, refuses or closes; mail-parser reads the emails.

use std::fs;

use mail_parser::MessageParser;
use qdjobs::{JobId, TaskErrorKind, Timestamp};
use qdjobs_examples::email::{Email, Mailer};
use qdjobs_examples::job_output::Run;

use crate::sink::{Manner, Sink};

const LETTER: Email<'_> = Email {
    to: "Ann Bäcker <ann@example.com>, bob@example.com",
    subject: "Grüße — and a subject that is long enough to be folded by whoever writes the header of it",
    body: "Hello Ann,\n.\n.. a line with dots\nBcc: nobody@example.com\n€ and ümläuts\n",
    cc: Some("carl@example.com"),
    html: None,
};

fn run(attempt: u32) -> Run {
    let created_at = Timestamp::from_microsecond(1_763_916_039_336_066).unwrap();
    Run { job: JobId(7), created_at, attempt }
}

#[test]
fn an_email_arrives_as_it_was_written() {
    let sink = Sink::start([Manner::Accept]);
    let sent = Mailer::smtp(&sink.url).unwrap().deliver(&LETTER, &run(1)).unwrap();
    assert_eq!(sent.to, LETTER.to);
    assert!(sink.url.ends_with(&sent.via), "{}", sent.via);

    let got = sink.next();
    assert_eq!(got.from, "qdjobs@localhost");
    assert_eq!(got.to, ["ann@example.com", "bob@example.com", "carl@example.com"]);
    let letter = got.letter.unwrap();
    let letter = MessageParser::default().parse(&letter).unwrap();
    assert_eq!(letter.subject(), Some(LETTER.subject));
    let to: Vec<_> = letter.to().unwrap().iter().map(|to| (to.name(), to.address())).collect();
    assert_eq!(to, [(Some("Ann Bäcker"), Some("ann@example.com")), (None, Some("bob@example.com"))]);
    assert_eq!(letter.cc().unwrap().first().unwrap().address(), Some("carl@example.com"));
    assert_eq!(letter.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), LETTER.body.trim_end());
    assert_eq!(format!("<{}>", letter.message_id().unwrap()), sent.message_id);
    assert_eq!(letter.date().unwrap().to_rfc3339(), "2025-11-23T16:40:39Z");
    assert!(letter.bcc().is_none());
}

#[test]
fn the_outbox_contains_the_same_email_with_its_html() {
    let folder = std::env::temp_dir().join(format!("qdjobs-it-outbox-{}", std::process::id()));
    let letter = Email { html: Some("<p>Hello <b>Ann</b></p>"), ..LETTER };
    let sent = Mailer::outbox(&folder).deliver(&letter, &run(1)).unwrap();
    let stored = fs::read(&sent.via).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let stored = MessageParser::default().parse(&stored).unwrap();
    assert!(stored.body_text(0).unwrap().contains("€ and ümläuts"));
    assert!(stored.body_html(0).unwrap().contains("<p>Hello <b>Ann</b></p>"));
    assert_eq!(format!("<{}>", stored.message_id().unwrap()), sent.message_id);
}

#[test]
fn a_temporary_error_of_the_server_is_retried_and_a_permanent_one_is_not() {
    for (manner, kind, named) in [
        (Manner::Busy, TaskErrorKind::Retry, "421"),
        (Manner::Refuse("450 mailbox busy"), TaskErrorKind::Retry, "mailbox busy"),
        (Manner::Refuse("550 no such user here"), TaskErrorKind::Permanent, "no such user here"),
        (Manner::DropBeforeDot, TaskErrorKind::Retry, "127.0.0.1"),
    ] {
        let sink = Sink::start([manner]);
        let error = Mailer::smtp(&sink.url).unwrap().deliver(&LETTER, &run(1)).unwrap_err();
        assert_eq!(error.kind(), kind, "{manner:?}: {error}");
        assert!(error.to_string().contains(named), "{manner:?}: {error}");
        assert_eq!(sink.next().letter, None);
    }
}

#[test]
fn an_email_sent_twice_since_its_response_was_lost_has_one_message_id() {
    let sink = Sink::start([Manner::DropAfterDot, Manner::Accept]);
    let mailer = Mailer::smtp(&sink.url).unwrap();
    let lost = mailer.deliver(&LETTER, &run(1)).unwrap_err();
    assert_eq!(lost.kind(), TaskErrorKind::Retry, "{lost}");
    mailer.deliver(&LETTER, &run(2)).unwrap();
    let (first, second) = (sink.next().letter.unwrap(), sink.next().letter.unwrap());
    assert_eq!(first, second);
}

#[test]
fn an_unreachable_server_is_retried() {
    let url = Sink::start([]).url;
    let mailer = Mailer::smtp(&url).unwrap();
    // The port closes when the thread of the server ends. Until then a connection is closed, which is retried
    // too.
    let error = mailer.deliver(&LETTER, &run(1)).unwrap_err();
    assert_eq!(error.kind(), TaskErrorKind::Retry, "{error}");
}
