//! The rules by which the mail server of the tests refuses commands and emails: RFC 5321, 5322, 2045, 2047 and
//! 6531, at their strictest.
//!
//! Depends on the standard library alone. Each rule is one that some server in use enforces.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What a session may contain beyond ASCII.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// `BODY=8BITMIME` was announced and used.
    pub(crate) eight_bit: bool,
    /// `SMTPUTF8` was announced and used.
    pub(crate) utf8: bool,
}

const COMMAND_BYTES_MAX: usize = 512;
const PATH_BYTES_MAX: usize = 256;
const LINE_BYTES_MAX: usize = 998;
const ENCODED_WORD_BYTES_MAX: usize = 75;

/// The text of a command line; an error if the line breaks a rule.
pub(crate) fn command(line: &[u8], utf8: bool) -> Result<String, String> {
    let text = line.strip_suffix(b"\r\n").ok_or("a command does not end with CR LF")?;
    if line.len() > COMMAND_BYTES_MAX {
        return Err(format!("a command has {} bytes", line.len()));
    }
    if text.iter().any(|byte| byte.is_ascii_control()) {
        return Err("a command contains a control character".to_owned());
    }
    if !utf8 && !text.is_ascii() {
        return Err("a command contains 8-bit characters without SMTPUTF8".to_owned());
    }
    String::from_utf8(text.to_vec()).map_err(|_| "a command is not UTF-8".to_owned())
}

/// The address of `MAIL FROM:<…>` or `RCPT TO:<…>`.
pub(crate) fn path(command: &str) -> Result<String, String> {
    let (_, rest) = command.split_once(":<").ok_or("a path does not follow its colon")?;
    let (address, options) = rest.rsplit_once('>').ok_or("a path has no closing bracket")?;
    if !(options.is_empty() || options.starts_with(' ')) {
        return Err(format!("`{options}` follows a path"));
    }
    if address.len() + "<>".len() > PATH_BYTES_MAX {
        return Err(format!("a path has {} bytes", address.len()));
    }
    let (local, domain) = address.rsplit_once('@').ok_or("a path has no @")?;
    if !is_local_part(local) || !(is_literal(domain) || is_host(domain)) {
        return Err(format!("`{address}` is not a path"));
    }
    Ok(address.to_owned())
}

/// Words of letters, digits and some signs, with single dots between them. Quotes are refused, as by servers that
/// look names up in a list.
fn is_local_part(local: &str) -> bool {
    let is_sign =
        |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    local.len() <= 64 && local.split('.').all(|word| !word.is_empty() && word.bytes().all(is_sign))
}

/// An IP address in brackets, of version 6 with its tag.
fn is_literal(domain: &str) -> bool {
    let inside = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default();
    match inside.strip_prefix("IPv6:") {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => inside.parse::<Ipv4Addr>().is_ok(),
    }
}

/// Labels of letters, digits and inner hyphens, the last of which is not a number.
fn is_host(domain: &str) -> bool {
    let is_label = |label: &str| {
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let has_hyphen_outside = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_sign) && !has_hyphen_outside
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.split('.').all(is_label) && last.bytes().any(|byte| !byte.is_ascii_digit())
}

/// The first rule that an email breaks. `email` is without dot-stuffing.
pub(crate) fn email(email: &[u8], allowed: Allowed) -> Result<(), String> {
    let lines = lines(email)?;
    let end = lines.iter().position(|line| line.is_empty()).ok_or("no empty line ends the header")?;
    header(&lines[..end], allowed)?;
    for line in &lines[end..] {
        if !allowed.eight_bit && !line.is_ascii() {
            return Err("the body contains 8-bit characters without BODY=8BITMIME".to_owned());
        }
    }
    Ok(())
}

/// The lines between CR LF; an error for a CR or LF outside of these pairs, for a NUL, and for a long line.
fn lines(email: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut lines = Vec::new();
    let mut rest = email;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap_or(rest.len());
        let line = &rest[..end];
        for (byte, name) in [(b'\r', "a bare CR"), (b'\n', "a bare LF"), (0, "a NUL")] {
            if line.contains(&byte) {
                return Err(format!("the email contains {name}"));
            }
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("the email contains a line of {} bytes", line.len()));
        }
        lines.push(line);
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    Ok(lines)
}

fn header(lines: &[&[u8]], allowed: Allowed) -> Result<(), String> {
    let mut names = Vec::new();
    for line in lines {
        let text = std::str::from_utf8(line).map_err(|_| "the header is not UTF-8")?;
        if !allowed.utf8 && !text.is_ascii() {
            return Err("the header contains 8-bit characters without SMTPUTF8".to_owned());
        }
        if text.chars().any(|character| character != '\t' && character.is_control()) {
            return Err(format!("the header contains a control character: {text:?}"));
        }
        let content = match text.strip_prefix([' ', '\t']) {
            Some(_) if names.is_empty() => return Err("the header begins with a folded line".to_owned()),
            Some(folded) => folded,
            None => {
                let (name, content) = text.split_once(':').ok_or_else(|| format!("no name in {text:?}"))?;
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(format!("{name:?} is not the name of a header"));
                }
                names.push(name.to_ascii_lowercase());
                content
            }
        };
        if content.trim().is_empty() && !text.starts_with("Subject:") {
            return Err(format!("a line of the header is empty after {:?}", names.last()));
        }
        if let Some(word) = content.split_whitespace().find(|word| {
            word.starts_with("=?") && (word.len() > ENCODED_WORD_BYTES_MAX || !word.ends_with("?="))
        }) {
            return Err(format!("{word:?} is not an encoded word"));
        }
    }
    let count = |name: &str| names.iter().filter(|found| *found == name).count();
    for (name, least) in [("from", 1), ("date", 1), ("message-id", 1), ("to", 0), ("cc", 0), ("subject", 0)] {
        if !(least..=1).contains(&count(name)) {
            return Err(format!("the header has {} times {name:?}", count(name)));
        }
    }
    Ok(())
}

#[test]
fn the_rules_refuse_what_servers_refuse() {
    let with = |header: &str, body: &str| {
        let fields = "From: <a@x>\r\nDate: now\r\nMessage-ID: <1@x>\r\n";
        email(format!("{fields}{header}\r\n{body}").as_bytes(), Allowed::default())
    };
    assert_eq!(with("Subject: x\r\n", "text\r\n"), Ok(()));
    for (header, body, named) in [
        ("", "a\rb", "bare CR"),
        ("", "a\nb", "bare LF"),
        ("", "a\0b", "NUL"),
        ("", "é", "8BITMIME"),
        ("", &"x".repeat(999), "999 bytes"),
        ("Subject: é\r\n", "", "SMTPUTF8"),
        ("Subject: a\r\n \r\n b\r\n", "", "empty"),
        ("Subject: a\r\nSubject: b\r\n", "", "2 times"),
        ("no colon\r\n", "", "no name"),
        ("Subject: =?utf-8?b?QQ==\r\n", "", "encoded word"),
    ] {
        let error = with(header, body).unwrap_err();
        assert!(error.contains(named), "{header:?} {body:.20?}: {error}");
    }
    assert!(command(b"QUIT\n", false).is_err() && command(b"RCPT TO:<\xc3\xa9@x>\r\n", false).is_err());
    for good in ["a@b", "a.b+c@d-e.example", "a@[127.0.0.1]", "a@[IPv6:::1]", "a@1.example"] {
        assert_eq!(path(&format!("RCPT TO:<{good}>")).as_deref(), Ok(good));
    }
    for bad in [
        "a",
        "@b",
        "a@",
        "a@b\u{fc}cher",
        "a@127.0.0.1",
        "a@1234",
        "a@b.1",
        "a@b_c",
        "a@-b",
        "a@b.",
        "a@[::1]",
        "a@[IPv6:1]",
        "a@[b]",
        ".a@b",
        "a..b@c",
        "a b@c",
        "\"a b\"@c",
        "a\"b@c",
    ] {
        assert!(path(&format!("RCPT TO:<{bad}>")).is_err(), "{bad}");
    }
}
