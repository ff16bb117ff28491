//! The recipients of an email: [`list`] parses them, so that every server can take them in its commands.
//!
//! Depends on lettre for the grammar and on idna for domains. How addresses are written in a header line is
//! decided in `header`.

use std::net::Ipv4Addr;

use lettre::Address;
use lettre::message::{Mailbox, Mailboxes};
use qdjobs::TaskError;

/// The largest number of recipients of one email. Every server must accept as many (RFC 5321, 4.5.3.1.8).
pub(super) const RECIPIENTS_MAX: usize = 100;

/// The longest address that fits into a command (RFC 5321, 4.5.3.1.3: 256 bytes with its brackets).
const ADDRESS_BYTES_MAX: usize = 254;

/// The addresses in `text`, which are separated by commas. `param` names the text in errors.
pub(super) fn list(param: &str, text: &str) -> Result<Vec<Mailbox>, TaskError> {
    let list: Mailboxes = text.parse().map_err(|error| {
        TaskError::permanent(format!(
            "`{param}` is `{}`, which is not an email address ({error}); write name@host, several separated by commas",
            shown(text)
        ))
    })?;
    let list: Result<Vec<Mailbox>, String> = list.into_iter().map(for_commands).collect();
    let list = list.map_err(|why| TaskError::permanent(format!("`{param}`: {why}")))?;
    if list.is_empty() {
        return Err(TaskError::permanent(format!("`{param}` is empty; write name@host")));
    }
    Ok(list)
}

/// The address of a sender, with or without a name. lettre reads it back from the header `From`, where it does
/// not parse an IP address in brackets.
pub(super) fn sender(text: &str) -> Result<Mailbox, String> {
    let mailbox = text.parse::<Mailbox>().map_err(|error| error.to_string())?;
    let mailbox = for_commands(mailbox)?;
    if mailbox.email.domain().starts_with('[') {
        return Err("its domain is an IP address; servers want the name of a host".to_owned());
    }
    Ok(mailbox)
}

/// The same mailbox with its domain as commands and headers have it: in ASCII, and an IP address in brackets.
fn for_commands(mailbox: Mailbox) -> Result<Mailbox, String> {
    let (user, domain) = (mailbox.email.user(), mailbox.email.domain());
    let unusable = |why: &str| format!("`{}` {why}", shown(mailbox.email.as_ref()));
    // lettre has removed the quotes that the address was given with. These would be others.
    if user.starts_with('"') {
        return Err(unusable("has quotes in its name; not every server accepts them"));
    }
    let domain = if domain.is_ascii() {
        domain.to_owned()
    } else {
        idna::domain_to_ascii(domain)
            .map_err(|_| unusable("has a domain that does not exist; check its spelling"))?
    };
    // lettre parses no address in brackets, and so none of IPv6.
    let domain = match domain.parse::<Ipv4Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) if is_host(&domain) => domain,
        Err(_) => return Err(unusable("has a domain that cannot exist; check its spelling")),
    };
    let email = Address::new(user, domain)
        .map_err(|_| unusable("has a domain that cannot exist; check its spelling"))?;
    short(Mailbox::new(mailbox.name, email))
}

/// Whether a domain can be the name of a host: lettre accepts any characters of a name in it, and numbers. The
/// last label of a host is never a number (RFC 3696, 2).
fn is_host(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn short(mailbox: Mailbox) -> Result<Mailbox, String> {
    let address: &str = mailbox.email.as_ref();
    if address.len() <= ADDRESS_BYTES_MAX {
        return Ok(mailbox);
    }
    Err(format!("`{}` is longer than {ADDRESS_BYTES_MAX} bytes; no server accepts it", shown(address)))
}

/// The start of a text, for an error.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(100).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{}{more}", start.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_written_in_ascii() {
        for (given, written) in [
            ("ann@example.com", "ann@example.com"),
            ("ann@Example.COM", "ann@Example.COM"),
            ("Ann <ann@bücher.example>", "ann@xn--bcher-kva.example"),
            ("ann@localhost", "ann@localhost"),
            ("ann@1.example", "ann@1.example"),
            ("\"ann.lee\"@example.com", "ann.lee@example.com"),
            ("ann@127.0.0.1", "ann@[127.0.0.1]"),
            ("ann@１２７.0.0.1", "ann@[127.0.0.1]"),
            ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ] {
            let list = list("to", given).unwrap();
            assert_eq!(list[0].email.to_string(), written, "{given}");
            let sender = sender(given).map(|sender| sender.email.to_string());
            assert_eq!(sender.ok().as_deref(), Some(written).filter(|to| !to.contains('[')), "{given}");
        }
    }

    #[test]
    fn an_address_that_no_command_can_contain_is_refused() {
        let long = format!("{}@{}example.com", "a".repeat(64), "b2345678.".repeat(25));
        for text in [
            "",
            "ann",
            "ann@",
            "@example.com",
            "ann@exa mple.com",
            "ann@example.com\r\nRCPT TO:<all@example.com>",
            "ann\0@example.com",
            "ann@example＞.com",
            "<ann@example.com",
            "ann@1234",
            "ann@1.2.3",
            "ann@1.2.3.256",
            "ann@１２３４",
            "ann@example.123",
            "ann@exam_ple.com",
            "ann@exam!ple.com",
            "ann@{example}.com",
            "ann@-example.com",
            "ann@example-.com",
            "ann@example..com",
            "ann@example.com.",
            "ann@2001:db8::1",
            "ann@[127.0.0.1]",
            "ann@[2001:db8::1]",
            "ann@[IPv6:2001:db8::1]",
            "ann@[1234]",
            "ann@[example.com]",
            "ann@[IPv6:127.0.0.1]",
            "ann@[IPv6:1234]",
            "ann@[]",
            "\"ann lee\"@example.com",
            "\"ann\\\"lee\"@example.com",
            "\"\\\"ann\tlee\\\"\"@example.com",
            &long,
            &format!("{}@example.com", "a".repeat(65)),
        ] {
            assert!(sender(text).is_err(), "{text}");
            let error = list("to", text).unwrap_err().to_string();
            assert!(error.contains("`to`") && error.len() < 500, "{error}");
        }
    }
}
