//! The task `send_email`: a MIME message, sent by SMTP or written to a directory.
//!
//! Depends on lettre for the message and the protocol, and on `job_output` for the file. Does not use the
//! queue. What the response of a server means for the job is decided here.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{env, fs, io};

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Mailboxes, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::{self, SmtpTransportBuilder};
use lettre::{Address, Message, SmtpTransport, Transport};
use percent_encoding::percent_decode_str;
use qdjobs::TaskError;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::job_output::{Draft, Run};

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
        let mailer = match env::var("SMTP_URL") {
            Ok(url) if !url.is_empty() => Mailer::smtp(&url)?,
            _ => Mailer::outbox(outbox),
        };
        match env::var("MAIL_FROM") {
            Ok(from) => mailer.from(&from),
            Err(_) => Ok(mailer),
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
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| unusable(&"it names no host"))?;
        let builder = match url.scheme() {
            "smtp" if url.query().is_none() => plain(&url, host),
            "smtp" | "smtps" => encrypted(&url),
            other => Err(format!("`{other}` is not a protocol for sending mail")),
        };
        let transport = builder.map_err(|why| unusable(&why))?.timeout(Some(SMTP_TIMEOUT)).build();
        let server = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Mailer { from: default_sender(), route: Route::Smtp { transport, server } })
    }

    /// A mailer that writes `.eml` files to this directory, which is created with the first email.
    pub fn outbox(folder: &Path) -> Mailer {
        Mailer { from: default_sender(), route: Route::Outbox(folder.to_owned()) }
    }

    /// Sets the sender.
    pub fn from(mut self, address: &str) -> Result<Mailer, String> {
        self.from = address
            .parse()
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
                transport.send(&message).map_err(|error| refused(server, &error))?;
                server.clone()
            }
            Route::Outbox(folder) => {
                let path = folder.join(format!("{}.eml", run.key()));
                store(&path, &message.formatted(), run)
                    .map_err(|error| TaskError::retry(format!("cannot write {}: {error}", path.display())))?;
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
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(email.subject)
            .message_id(Some(message_id.to_owned()))
            // The time of the job, so that a repeated attempt sends the same email.
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(run.created_at.as_second().unsigned_abs()));
        for to in addresses("to", email.to)? {
            message = message.to(to);
        }
        for cc in email.cc.map(|cc| addresses("cc", cc)).transpose()?.into_iter().flatten() {
            message = message.cc(cc);
        }
        let body = email.body.to_owned();
        let built = match email.html {
            Some(html) => message.multipart(MultiPart::alternative_plain_html(body, html.to_owned())),
            None => message.singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body)),
        };
        built.map_err(|error| TaskError::permanent(format!("cannot compose this email: {error}")))
    }
}

/// A connection without encryption, for a server on this machine or in a trusted network.
fn plain(url: &Url, host: &str) -> Result<SmtpTransportBuilder, String> {
    let decode = |part: &str| {
        percent_decode_str(part).decode_utf8().map(Cow::into_owned).map_err(|error| error.to_string())
    };
    let builder = SmtpTransport::builder_dangerous(host).port(url.port().unwrap_or(smtp::SMTP_PORT));
    match url.password() {
        Some(password) => {
            Ok(builder.credentials(Credentials::new(decode(url.username())?, decode(password)?)))
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

fn addresses(param: &str, text: &str) -> Result<Mailboxes, TaskError> {
    let list: Mailboxes = text.parse().map_err(|error| {
        TaskError::permanent(format!(
            "`{param}` is `{}`, which is not an email address ({error}); write name@host, several separated by commas",
            text.escape_debug()
        ))
    })?;
    if list.iter().next().is_none() {
        return Err(TaskError::permanent(format!("`{param}` is empty; write name@host")));
    }
    Ok(list)
}

/// What a failed SMTP session means for the job. A permanent error (5xx) would be the same at the next
/// attempt. After every other failure (4xx, a closed connection, a timeout) the job is retried. If the
/// connection closed after the server had accepted the email, the next attempt sends it again, with the same
/// `Message-ID`.
fn refused(server: &str, error: &smtp::Error) -> TaskError {
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
}
