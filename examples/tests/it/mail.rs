//! Tests of `send_email` with a strict server that accepts, defers, refuses or closes; mail-parser reads the
//! emails.

use std::fs;

use mail_parser::MessageParser;
use qdjobs::{JobId, TaskError, TaskErrorKind, Timestamp};
use qdjobs_examples::email::{Email, Mailer};
use qdjobs_examples::job_output::Run;

use crate::Folder;
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
fn an_outbox_that_can_never_be_written_is_a_permanent_error() {
    let folder = Folder::new("outbox-file");
    fs::write(folder.0.join("file"), "").unwrap();
    for outbox in ["file", "file/outbox", &"n".repeat(300)] {
        let error = Mailer::outbox(&folder.0.join(outbox)).deliver(&LETTER, &run(1)).unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{outbox}: {error}");
    }
    assert_eq!(folder.names(), ["file"]);
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

/// Sends the email to a server without extensions and returns its recipients and the email as they arrived.
fn send(email: &Email<'_>) -> Result<(Vec<String>, Vec<u8>), TaskError> {
    let sink = Sink::with_extensions(&[], [Manner::Accept]);
    Mailer::smtp(&sink.url).unwrap().deliver(email, &run(1))?;
    let got = sink.next();
    Ok((got.to, got.letter.unwrap()))
}

#[track_caller]
fn delivered(email: &Email<'_>) -> (Vec<String>, Vec<u8>) {
    send(email).unwrap_or_else(|error| panic!("{error}"))
}

/// The length of the longest line of the header.
fn longest_line(letter: &[u8]) -> usize {
    let text = String::from_utf8_lossy(letter);
    let header = text.split("\r\n\r\n").next().unwrap();
    header.lines().map(str::len).max().unwrap()
}

#[test]
fn a_strict_server_accepts_an_email_to_many_recipients() {
    let addresses: Vec<String> = (0..60).map(|n| format!("recipient-number-{n}@mail.example.com")).collect();
    let named = addresses.iter().map(|to| format!("\"Recipient, No {}\" <{to}>", to.len()));
    for to in [addresses.join(","), named.collect::<Vec<_>>().join(", ")] {
        let email = Email { to: &to, cc: Some("carl@example.com, dora@example.com"), ..LETTER };
        let (got, letter) = delivered(&email);
        assert_eq!(got[..60], addresses[..]);
        assert!(longest_line(&letter) <= 78, "{}", String::from_utf8_lossy(&letter));
        let letter = MessageParser::default().parse(&letter).unwrap();
        let shown: Vec<_> = letter.to().unwrap().iter().map(|to| to.address().unwrap().to_owned()).collect();
        assert_eq!(shown, addresses);
    }
}

#[test]
fn a_strict_server_accepts_whatever_characters_a_body_contains() {
    let long = "x".repeat(5_000);
    for body in [
        "",
        "\r",
        "a\rb",
        "a\r",
        "a\r\rb\n\r",
        "a\nb\n",
        "a\r\nb\r\n",
        "nul \0 and alert \u{7} and escape \u{1b}[31m and delete \u{7f}",
        ".",
        ".\n..\n...\r\n.",
        "a\r\n.\r\nRCPT TO:<all@example.com>\r\n",
        "a\n.\nQUIT\n",
        "From here\nSubject: no header\n\n",
        "spaces at the end   \nand tabs\t\t\n",
        &long,
        &format!("{long}\n{long} é"),
        &"é".repeat(3_000),
        &format!("{}\r{}", "é".repeat(3_000), long),
        "=20 =?utf-8?q?x?=",
    ] {
        for html in [None, Some(body)] {
            let (_, letter) = delivered(&Email { body, html, ..LETTER });
            let parsed = MessageParser::default().parse(&letter).unwrap();
            let lines = |text: &str| text.replace("\r\n", "\n").trim_end_matches('\n').to_owned();
            let shown = parsed.body_text(0).unwrap_or_default();
            assert_eq!(lines(&shown), lines(body), "{}", String::from_utf8_lossy(&letter));
            if html.is_some() {
                let part = parsed.html_part(0).unwrap();
                assert_eq!(lines(part.text_contents().unwrap()), lines(body));
            }
            let text = String::from_utf8_lossy(&letter);
            assert!(text.lines().all(|line| line.len() <= 78), "{text}");
        }
    }
}

#[test]
fn a_strict_server_accepts_every_subject_and_name() {
    let long = "x".repeat(3_000);
    let words = ["words"; 600].join(" ");
    let spaces = format!("a{}b", " ".repeat(1_500));
    for text in
        [&long, &words, &spaces, "é", &"üß€😀".repeat(500), "=?utf-8?q?a_word?=", "a \\ \"b\" <c@d>, e"]
    {
        let to = format!("\"{}\" <ann@example.com>", text.replace('\\', "\\\\").replace('"', "\\\""));
        let (got, letter) = delivered(&Email { to: &to, subject: text, cc: None, ..LETTER });
        assert_eq!(got, ["ann@example.com"]);
        assert!(longest_line(&letter) <= 78, "{}", String::from_utf8_lossy(&letter));
        let letter = MessageParser::default().parse(&letter).unwrap();
        assert_eq!(letter.subject(), Some(text));
        // A quoted string in which spaces follow each other has one space for them, for every parser.
        let to = letter.to().unwrap().first().unwrap();
        assert_eq!(to.address(), Some("ann@example.com"));
        if !text.contains("  ") {
            assert_eq!(to.name(), Some(text));
        }
    }
}

#[test]
fn a_strict_server_accepts_every_address_that_is_not_refused_before() {
    let sink = Sink::with_extensions(&["8BITMIME", "SMTPUTF8"], [Manner::Accept]);
    let email = Email { to: "Jürgen <jürgen@bücher.example>", ..LETTER };
    Mailer::smtp(&sink.url).unwrap().deliver(&email, &run(1)).unwrap();
    let got = sink.next();
    assert_eq!(got.to, ["jürgen@xn--bcher-kva.example", "carl@example.com"]);
    assert!(String::from_utf8(got.letter.unwrap()).unwrap().contains("<jürgen@xn--bcher-kva.example>"));

    for (given, written) in [
        ("ann+x.y@example.com", "ann+x.y@example.com"),
        ("\"ann.lee\"@example.com", "ann.lee@example.com"),
        ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
        ("ann@localhost", "ann@localhost"),
        ("ann@1.example", "ann@1.example"),
    ] {
        let (got, letter) = delivered(&Email { to: given, cc: None, ..LETTER });
        assert_eq!(got, [written], "{given}");
        assert!(String::from_utf8(letter).unwrap().contains(written), "{given}");
    }
    let unreached = Mailer::smtp(&Sink::start([]).url).unwrap();
    for refused in [
        "ann@1234",
        "ann@1.2.3",
        "ann@exam_ple.com",
        "ann@[IPv6:2001:db8::1]",
        "ann@[ann]",
        "\"ann lee\"@example.com",
        "ann@-x.y",
    ] {
        let error = unreached.deliver(&Email { to: refused, ..LETTER }, &run(1)).unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{refused}: {error}");
        assert!(error.to_string().contains("`to`"), "{error}");
    }

    // A domain has a form in ASCII; the part before the @ has none.
    let (got, _) = delivered(&Email { to: "ann@bücher.example, bob@127.0.0.1", ..LETTER });
    assert_eq!(got, ["ann@xn--bcher-kva.example", "bob@[127.0.0.1]", "carl@example.com"]);
    for extensions in [&[][..], &["8BITMIME"]] {
        let sink = Sink::with_extensions(extensions, [Manner::Accept]);
        let error = Mailer::smtp(&sink.url).unwrap().deliver(&email, &run(1)).unwrap_err();
        assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
        assert!(error.to_string().contains("SMTPUTF8"), "{error}");
        assert_eq!(sink.next().to, Vec::<String>::new());
    }
}

#[test]
fn no_param_adds_a_header_a_recipient_or_a_command() {
    let sink = Sink::start([]);
    let mailer = Mailer::smtp(&sink.url).unwrap();
    let good = Email { to: "ann@example.com", subject: "Hi", body: "…", cc: None, html: None };
    for line_break in ["\r\n", "\n", "\r", "\r\n ", "\0", "\u{b}", "\u{85}"] {
        let injected = format!("a{line_break}Bcc: all@example.com");
        let (name, address) =
            (format!("\"{injected}\" <a@example.com>"), format!("a@example.com{line_break}x"));
        for email in [
            Email { subject: &injected, ..good },
            Email { to: &address, ..good },
            Email { cc: Some(&address), ..good },
        ] {
            let error = mailer.deliver(&email, &run(1)).unwrap_err();
            assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
        }
        // A name may contain characters that are no line break for a server: they arrive encoded.
        match send(&Email { to: &name, ..good }) {
            Ok((to, letter)) => {
                assert_eq!(to, ["a@example.com"]);
                assert!(!String::from_utf8(letter).unwrap().contains("Bcc"));
            }
            Err(error) => assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}"),
        }
    }
}
