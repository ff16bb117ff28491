//! The task `send_email`: a MIME message, by SMTP or into a folder.
//!
//! Leans on lettre for the message and the protocol, and on `run` for the file. Never comes in: the queue. What a
//! server's answer means for the job is decided here, in [`Mailer::deliver`], and nowhere else.

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

/// How long a server may take over one step of the conversation. Less than the task's timeout, so that the job's error
/// names the server and not only the clock.
const SMTP_PATIENCE: Duration = Duration::from_secs(10);

/// What to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Letter<'a> {
    /// One address, or several with commas between them; each may have a name: `Ann <ann@example.com>`.
    pub to: &'a str,
    /// The subject, one line.
    pub subject: &'a str,
    /// The text.
    pub body: &'a str,
    /// Who gets a copy, written as `to` is.
    pub cc: Option<&'a str>,
    /// The text once more as HTML, for readers that show it.
    pub html: Option<&'a str>,
}

/// What became of it: the result of the job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Always true: a letter that was not sent is an error.
    pub sent: bool,
    /// To whom, as the caller wrote it.
    pub to: String,
    /// Its `Message-ID`, the same at every attempt of the job.
    pub message_id: String,
    /// The server that took it, or the file that holds it.
    pub via: String,
}

/// Delivers letters: by SMTP, or as files into an outbox when there is no server.
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
    /// By SMTP if `SMTP_URL` is set (`smtp://user:password@host:port`), else into the folder `outbox`. The sender is
    /// `MAIL_FROM`.
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

    /// Through the server of this URL.
    pub fn smtp(url: &str) -> Result<Mailer, String> {
        // The URL may hold a password: no message repeats it.
        let unusable = |why: &dyn Display| {
            format!(
                "SMTP_URL cannot be used: {why}\nwrite smtp://user:password@host:port, the user and the port if needed"
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
        let transport = builder.map_err(|why| unusable(&why))?.timeout(Some(SMTP_PATIENCE)).build();
        let server = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Mailer { from: default_sender(), route: Route::Smtp { transport, server } })
    }

    /// As `.eml` files into this folder, which is made when the first letter comes.
    pub fn outbox(folder: &Path) -> Mailer {
        Mailer { from: default_sender(), route: Route::Outbox(folder.to_owned()) }
    }

    /// With this sender.
    pub fn from(mut self, address: &str) -> Result<Mailer, String> {
        self.from = address
            .parse()
            .map_err(|error| format!("MAIL_FROM `{address}` is not an address: {error}; write name@host"))?;
        Ok(self)
    }

    /// Where letters go, for people.
    pub fn describe(&self) -> String {
        match &self.route {
            Route::Smtp { server, .. } => format!("sent through {server}"),
            Route::Outbox(folder) => {
                format!("written into {} (set SMTP_URL to send it)", folder.display())
            }
        }
    }

    /// Writes the letter and sends it off.
    pub fn deliver(&self, letter: &Letter<'_>, run: &Run) -> Result<Sent, TaskError> {
        let message_id = format!("<{}@{}>", run.key(), self.from.email.domain());
        let message = self.compose(letter, &message_id, run)?;
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
        Ok(Sent { sent: true, to: letter.to.to_owned(), message_id, via })
    }

    fn compose(&self, letter: &Letter<'_>, message_id: &str, run: &Run) -> Result<Message, TaskError> {
        // A line break in a header would begin a header of the caller's choice.
        if letter.subject.contains(|c: char| c.is_control()) {
            return Err(TaskError::permanent("`subject` holds a line break or another control character"));
        }
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(letter.subject)
            .message_id(Some(message_id.to_owned()))
            // The job's own time, so that a repeat is the same letter.
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(run.created_at.as_second().unsigned_abs()));
        for to in addresses("to", letter.to)? {
            message = message.to(to);
        }
        for cc in letter.cc.map(|cc| addresses("cc", cc)).transpose()?.into_iter().flatten() {
            message = message.cc(cc);
        }
        let body = letter.body.to_owned();
        let built = match letter.html {
            Some(html) => message.multipart(MultiPart::alternative_plain_html(body, html.to_owned())),
            None => message.singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body)),
        };
        built.map_err(|error| TaskError::permanent(format!("cannot write this letter: {error}")))
    }
}

/// Without encryption, for a server on this machine or in a trusted network.
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

/// `smtps://`, or `smtp://` with `?tls=required`.
#[cfg(feature = "tls")]
fn encrypted(url: &Url) -> Result<SmtpTransportBuilder, String> {
    SmtpTransport::from_url(url.as_str()).map_err(|error| error.to_string())
}

#[cfg(not(feature = "tls"))]
fn encrypted(_: &Url) -> Result<SmtpTransportBuilder, String> {
    Err("it asks for encryption, which this program is built without; build it with `--features tls`"
        .to_owned())
}

fn default_sender() -> Mailbox {
    // Both halves are literals that need no check.
    Mailbox::new(Some("qdjobs".to_owned()), Address::new_dangerous("qdjobs", "localhost"))
}

fn addresses(param: &str, text: &str) -> Result<Mailboxes, TaskError> {
    let list: Mailboxes = text.parse().map_err(|error| {
        TaskError::permanent(format!(
            "`{param}` is `{}`, which is not an e-mail address ({error}); write name@host, several with commas",
            text.escape_debug()
        ))
    })?;
    if list.iter().next().is_none() {
        return Err(TaskError::permanent(format!("`{param}` is empty; write name@host")));
    }
    Ok(list)
}

/// What a failed conversation means for the job. A server that says no for good (5xx) will say no again; everything
/// else, a "not now" (4xx), a dropped line, a silence, may be different next time. When the line dropped after the
/// server had taken the letter, the next attempt sends it twice, with one `Message-ID`.
fn refused(server: &str, error: &smtp::Error) -> TaskError {
    let mut text = format!("{server}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some errors of lettre print their cause themselves.
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

fn store(path: &Path, letter: &[u8], run: &Run) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Draft::new(path, run).write(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_output::tests::{Folder, run};
    use qdjobs::TaskErrorKind;

    #[test]
    fn a_repeat_overwrites_its_letter_and_another_job_does_not() {
        let folder = Folder::new("outbox");
        let mailer = Mailer::outbox(&folder.0.join("outbox"));
        let letter = Letter { to: "ann@example.com", subject: "Hi", body: "…", ..Letter::default() };
        let first = mailer.deliver(&letter, &run(1, 1)).unwrap();
        let again = mailer.deliver(&letter, &run(1, 2)).unwrap();
        assert_eq!(first, again);
        mailer.deliver(&letter, &run(2, 1)).unwrap();
        assert_eq!(fs::read_dir(folder.0.join("outbox")).unwrap().count(), 2);
    }

    #[test]
    fn a_letter_that_can_never_be_sent_is_refused_for_good_and_writes_nothing() {
        let folder = Folder::new("outbox-bad");
        let mailer = Mailer::outbox(&folder.0);
        let good = Letter { to: "ann@example.com", subject: "Hi", body: "…", ..Letter::default() };
        for (letter, named) in [
            (Letter { to: "", ..good }, "`to`"),
            (Letter { to: "ann", ..good }, "`to`"),
            (Letter { to: "ann@example.com\r\nBcc: all@example.com", ..good }, "`to`"),
            (Letter { cc: Some("bob@"), ..good }, "`cc`"),
            (Letter { subject: "Hi\r\nBcc: all@example.com", ..good }, "`subject`"),
        ] {
            let error = mailer.deliver(&letter, &run(1, 1)).unwrap_err();
            assert_eq!(error.kind(), TaskErrorKind::Permanent, "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(folder.names().is_empty());
    }

    #[test]
    fn an_unusable_server_is_told_without_its_password() {
        let error = Mailer::smtp("nonsense://ann:secret@example.com").unwrap_err();
        assert!(error.contains("SMTP_URL") && !error.contains("secret"), "{error}");
        let mailer = Mailer::smtp("smtp://ann:secret@example.com:2525/me").unwrap();
        assert!(!mailer.describe().contains("secret"), "{}", mailer.describe());
    }
}
