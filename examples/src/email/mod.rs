//! The task `send_email`: a MIME message, sent by SMTP or written to a directory.
//!
//! Depends on lettre for the message and the protocol, and on `job_output` for the file. Does not use the
//! queue. What the response of a server means for the job is decided here. The files beside it: `address`
//! (which addresses are accepted) and `header` (header lines that every server accepts).

mod address;
mod header;

use std::borrow::Cow;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::{self, SmtpTransportBuilder};
use lettre::{Address, Message, SmtpTransport, Transport};
use percent_encoding::percent_decode_str;
use qdjobs::TaskError;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::job_output::{Draft, Run, file_error};
use crate::setting;

/// The longest wait for one response of a server. It is shorter than the task's timeout, so that the job's
/// error names the server.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);

/// The contents of an email.
#[derive(Clone, Copy, Debug, Default)]
pub struct Email<'a> {
    /// One address, or several separated by commas. Each may have a name: `Ann <ann@example.com>`.
    pub to: &'a str,
    /// The subject, one line.
    pub subject: &'a str,
    /// The text.
    pub body: &'a str,
    /// The recipients of a copy, in the form of `to`.
    pub cc: Option<&'a str>,
    /// The text as HTML.
    pub html: Option<&'a str>,
}

/// The result of the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Always true: if the email was not sent, the job has an error.
    pub sent: bool,
    /// The recipients, as the caller wrote them.
    pub to: String,
    /// The `Message-ID`, which is the same at every attempt of the job.
    pub message_id: String,
    /// The server that accepted it, or the file that contains it.
    pub via: String,
}

/// Delivers emails: by SMTP or, without a server, as files in an outbox directory.
#[derive(Clone, Debug)]
pub struct Mailer {
    from: Mailbox,
    route: Route,
}

#[derive(Clone, Debug)]
enum Route {
    Smtp { transport: SmtpTransport, server: String },
    Outbox(PathBuf),
}

impl Mailer {
    /// A mailer by SMTP if `SMTP_URL` is set (`smtp://user:password@host:port`), else into the directory
    /// `outbox`. The sender is `MAIL_FROM`.
    pub fn from_env(outbox: &Path) -> Result<Mailer, String> {
        let mailer = match setting::text("SMTP_URL")? {
            Some(url) => Mailer::smtp(&url)?,
            None => Mailer::outbox(outbox),
        };
        match setting::text("MAIL_FROM")? {
            Some(from) => mailer.from(&from),
            None => Ok(mailer),
        }
    }

    /// A mailer that sends through the server of this URL.
    pub fn smtp(url: &str) -> Result<Mailer, String> {
        // The URL can contain a password, so no error repeats it.
        let unusable = |why: &dyn Display| {
            format!(
                "SMTP_URL cannot be used: {why}\nwrite smtp://user:password@host:port; the user and the port are optional"
            )
        };
        let url = Url::parse(url).map_err(|error| unusable(&error))?;
        if !matches!(url.scheme(), "smtp" | "smtps") {
            return Err(unusable(&format!("`{}` is not a protocol for sending mail", url.scheme())));
        }
        let host = host(&url).map_err(|why| unusable(&why))?;
        let builder = match url.scheme() {
            "smtp" if url.query().is_none() => plain(&url, &host),
            _ => encrypted(&url),
        };
        let transport = builder.map_err(|why| unusable(&why))?.timeout(Some(SMTP_TIMEOUT)).build();
        let server = url.port().map_or(host.clone(), |port| format!("{host}:{port}"));
        Ok(Mailer { from: default_sender(), route: Route::Smtp { transport, server } })
    }

    /// A mailer that writes `.eml` files to this directory, which is created with the first email.
    pub fn outbox(folder: &Path) -> Mailer {
        Mailer { from: default_sender(), route: Route::Outbox(folder.to_owned()) }
    }

    /// Sets the sender.
    pub fn from(mut self, address: &str) -> Result<Mailer, String> {
        self.from = address::sender(address)
            .map_err(|error| format!("MAIL_FROM `{address}` is not an address: {error}; write name@host"))?;
        Ok(self)
    }

    /// The destination of emails, for people.
    pub fn describe(&self) -> String {
        match &self.route {
            Route::Smtp { server, .. } => format!("sent through {server}"),
            Route::Outbox(folder) => {
                format!("written to {} (set SMTP_URL to send it)", folder.display())
            }
        }
    }

    /// Composes the email and delivers it.
    pub fn deliver(&self, email: &Email<'_>, run: &Run) -> Result<Sent, TaskError> {
        let message_id = format!("<{}@{}>", run.key(), self.from.email.domain());
        let message = self.compose(email, &message_id, run)?;
        let via = match &self.route {
            Route::Smtp { transport, server } => {
                let ascii = message.envelope().to().iter().all(|to| AsRef::<str>::as_ref(to).is_ascii());
                transport.send(&message).map_err(|error| refused(server, ascii, &error))?;
                server.clone()
            }
            Route::Outbox(folder) => {
                let path = folder.join(format!("{}.eml", run.key()));
                store(&path, &message.formatted(), run)
                    .map_err(|error| file_error(format!("cannot write {}", path.display()), &error))?;
                path.display().to_string()
            }
        };
        Ok(Sent { sent: true, to: email.to.to_owned(), message_id, via })
    }

    fn compose(&self, email: &Email<'_>, message_id: &str, run: &Run) -> Result<Message, TaskError> {
        // A line break would let the caller add headers.
        if email.subject.contains(|c: char| c.is_control()) {
            return Err(TaskError::permanent(
                "`subject` contains a line break or another control character; write one line",
            ));
        }
        let to = address::list("to", email.to)?;
        let cc = email.cc.map(|cc| address::list("cc", cc)).transpose()?.unwrap_or_default();
        let recipients = to.len() + cc.len();
        if recipients > address::RECIPIENTS_MAX {
            return Err(TaskError::permanent(format!(
                "the email has {recipients} recipients, more than {}; split them over several jobs",
                address::RECIPIENTS_MAX
            )));
        }
        let failed =
            |error: lettre::error::Error| TaskError::permanent(format!("cannot compose this email: {error}"));
        let all = to.iter().chain(&cc).map(|mailbox| mailbox.email.clone()).collect();
        let mut message = Message::builder()
            .envelope(Envelope::new(Some(self.from.email.clone()), all).map_err(failed)?)
            .raw_header(list_header("From", std::slice::from_ref(&self.from)))
            .raw_header(header::text("Subject", email.subject))
            .message_id(Some(message_id.to_owned()))
            // The time of the job, so that a repeated attempt sends the same email.
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(run.created_at.as_second().unsigned_abs()))
            .raw_header(list_header("To", &to));
        if !cc.is_empty() {
            message = message.raw_header(list_header("Cc", &cc));
        }
        let body = part(ContentType::TEXT_PLAIN, email.body);
        let built = match email.html {
            Some(html) => message.multipart(
                MultiPart::alternative().singlepart(body).singlepart(part(ContentType::TEXT_HTML, html)),
            ),
            None => message.singlepart(body),
        };
        built.map_err(failed)
    }
}

fn list_header(name: &'static str, list: &[Mailbox]) -> HeaderValue {
    header::mailboxes(name, list, &Mailboxes::from(list.to_vec()).to_string())
}

/// A text of the email. lettre converts its line breaks and chooses an encoding, except for control
/// characters: it would send them as they are, and servers refuse a carriage return without a line feed, or a
/// NUL.
fn part(kind: ContentType, text: &str) -> SinglePart {
    let part = SinglePart::builder().header(kind);
    if has_controls(text) {
        return part.header(ContentTransferEncoding::Base64).body(text.to_owned());
    }
    part.body(text.to_owned())
}

/// Whether a text contains control characters other than tabs and line breaks.
fn has_controls(text: &str) -> bool {
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\t' | b'\n' => {}
            b'\r' if bytes.peek() == Some(&b'\n') => {}
            byte if byte.is_ascii_control() => return true,
            _ => {}
        }
    }
    false
}

/// The host of a mail server, as it is looked up; an error if the rest of the URL would be ignored.
fn host(url: &Url) -> Result<String, String> {
    let host = match url.host() {
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        Some(Host::Domain(name)) if !name.is_empty() => host_name(&decoded(name)?)?,
        _ => return Err("it names no host".to_owned()),
    };
    if url.port() == Some(0) {
        return Err("no server listens on port 0".to_owned());
    }
    if url.fragment().is_some() {
        return Err("it contains a `#`; write it as %23 in a password".to_owned());
    }
    match (url.username().is_empty(), url.password()) {
        (false, None) => Err("it has a user and no password".to_owned()),
        (true, Some(_)) => Err("it has a password and no user".to_owned()),
        _ => Ok(host),
    }
}

/// The name of a host in ASCII. Names in a local network may contain underscores.
fn host_name(name: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    idna::domain_to_ascii(name)
        .ok()
        .filter(|ascii| !ascii.is_empty() && ascii.bytes().all(is_plain))
        .ok_or_else(|| format!("`{}` is not the name of a host", name.escape_debug()))
}

fn decoded(part: &str) -> Result<String, String> {
    percent_decode_str(part).decode_utf8().map(Cow::into_owned).map_err(|error| error.to_string())
}

/// A connection without encryption, for a server on this machine or in a trusted network.
fn plain(url: &Url, host: &str) -> Result<SmtpTransportBuilder, String> {
    let builder = SmtpTransport::builder_dangerous(host).port(url.port().unwrap_or(smtp::SMTP_PORT));
    match url.password() {
        Some(password) => {
            Ok(builder.credentials(Credentials::new(decoded(url.username())?, decoded(password)?)))
        }
        None => Ok(builder),
    }
}

/// An encrypted connection: `smtps://`, or `smtp://` with `?tls=required`.
#[cfg(feature = "tls")]
fn encrypted(url: &Url) -> Result<SmtpTransportBuilder, String> {
    SmtpTransport::from_url(url.as_str()).map_err(|error| error.to_string())
}

#[cfg(not(feature = "tls"))]
fn encrypted(_: &Url) -> Result<SmtpTransportBuilder, String> {
    Err("it requires encryption, and this program is built without it; build it with `--features tls`"
        .to_owned())
}

fn default_sender() -> Mailbox {
    // Both parts are valid literals, so they need no check.
    Mailbox::new(Some("qdjobs".to_owned()), Address::new_dangerous("qdjobs", "localhost"))
}

/// What a failed SMTP session means for the job. A permanent error (5xx) would be the same at the next
/// attempt. After every other failure (4xx, a closed connection, a timeout) the job is retried. If the
/// connection closed after the server had accepted the email, the next attempt sends it again, with the same
/// `Message-ID`.
///
/// `ascii` states whether all recipients are in ASCII. If not, lettre asks only a server that supports it.
fn refused(server: &str, ascii: bool, error: &smtp::Error) -> TaskError {
    if error.is_client() && !ascii {
        return TaskError::permanent(format!(
            "{server} accepts no address with a character outside of ASCII before its @, since it does not \
             support SMTPUTF8; write another address, or use another server"
        ));
    }
    let mut text = format!("{server}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some errors of lettre already contain the text of their cause.
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    if error.is_permanent() || error.is_client() {
        TaskError::permanent(text)
    } else {
        TaskError::retry(text)
    }
}

fn store(path: &Path, email: &[u8], run: &Run) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Draft::new(path, run).write(email)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_output::tests::{Folder, run};
    use qdjobs::TaskErrorKind;

    #[test]
    fn a_repeated_attempt_overwrites_its_email_and_another_job_does_not() {
        let folder = Folder::new("outbox");
        let mailer = Mailer::outbox(&folder.0.join("outbox"));
        let email = Email { to: "ann@example.com", subject: "Hi", body: "…", ..Email::default() };
        let first = mailer.deliver(&email, &run(1, 1)).unwrap();
        let again = mailer.deliver(&email, &run(1, 2)).unwrap();
        assert_eq!(first, again);
        mailer.deliver(&email, &run(2, 1)).unwrap();
        assert_eq!(fs::read_dir(folder.0.join("outbox")).unwrap().count(), 2);
    }

    #[test]
    fn an_email_that_can_never_be_sent_is_a_permanent_error_and_writes_nothing() {
        let folder = Folder::new("outbox-bad");
        let mailer = Mailer::outbox(&folder.0);
        let good = Email { to: "ann@example.com", subject: "Hi", body: "…", ..Email::default() };
        for (email, named) in [
            (Email { to: "", ..good }, "`to`"),
            (Email { to: "ann", ..good }, "`to`"),
            (Email { to: "ann@example.com\r\nBcc: all@example.com", ..good }, "`to`"),
            (Email { cc: Some("bob@"), ..good }, "`cc`"),
            (Email { subject: "Hi\r\nBcc: all@example.com", ..good }, "`subject`"),
        ] {
            let error = mailer.deliver(&email, &run(1, 1)).unwrap_err();
            assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(folder.names().is_empty());
    }

    #[test]
    fn the_error_for_an_unusable_server_does_not_contain_its_password() {
        let error = Mailer::smtp("nonsense://ann:secret@example.com").unwrap_err();
        assert!(error.contains("SMTP_URL") && !error.contains("secret"), "{error}");
        let mailer = Mailer::smtp("smtp://ann:secret@example.com:2525/me").unwrap();
        assert!(!mailer.describe().contains("secret"), "{}", mailer.describe());
    }

    #[test]
    fn a_url_that_would_be_used_only_in_part_is_refused() {
        for (url, why) in [
            ("localhost", "relative URL"),
            ("localhost:25", "not a protocol"),
            ("smtp:localhost", "names no host"),
            ("smtp://", "names no host"),
            ("smtp://:25", "empty host"),
            ("smtp://localhost:99999", "port"),
            ("smtp://localhost:0", "port 0"),
            ("smtp://local host", "host"),
            ("smtp://a%20b", "not the name of a host"),
            ("smtp://ann@localhost", "no password"),
            ("smtp://:secret@localhost", "no user"),
            ("smtp://ann:12#secret@localhost", "%23"),
            ("http://localhost", "not a protocol"),
        ] {
            let error = Mailer::smtp(url).unwrap_err();
            assert!(error.contains(why) && error.contains("write smtp://"), "{url}: {error}");
            assert!(!error.contains("secret"), "{url}: {error}");
        }
        for (url, server) in [
            ("smtp://localhost", "localhost"),
            ("smtp://127.0.0.1:2525", "127.0.0.1:2525"),
            ("smtp://[::1]:2525", "::1:2525"),
            ("smtp://bücher.example", "xn--bcher-kva.example"),
            ("smtp://mail_1:25", "mail_1:25"),
            ("smtp://ann%40example.com:se%23cret@localhost:2525", "localhost:2525"),
        ] {
            let mailer = Mailer::smtp(url).unwrap();
            assert_eq!(mailer.describe(), format!("sent through {server}"), "{url}");
        }
    }

    #[test]
    fn more_recipients_than_every_server_accepts_are_refused() {
        let folder = Folder::new("outbox-many");
        let mailer = Mailer::outbox(&folder.0);
        let list = |count: usize| vec!["ann@example.com"; count].join(", ");
        let (most, more) = (list(address::RECIPIENTS_MAX), list(address::RECIPIENTS_MAX + 1));
        let email = Email { to: &most, subject: "Hi", body: "…", ..Email::default() };
        mailer.deliver(&email, &run(1, 1)).unwrap();
        for email in [Email { to: &more, ..email }, Email { cc: Some("bob@example.com"), ..email }] {
            let error = mailer.deliver(&email, &run(2, 1)).unwrap_err();
            assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
            assert!(error.to_string().contains("101 recipients"), "{error}");
        }
        assert_eq!(folder.names().len(), 1);
    }
}
