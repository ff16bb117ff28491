//! [`Sink`], a mail server that records emails and responds as the test sets it. It refuses for good whatever
//! breaks a rule of `strict`.
//!
//! Depends on the standard library alone: it shares no code with the client under test.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::strict::{self, Allowed};

/// The largest number of recipients of one email.
const RECIPIENTS_MAX: usize = 100;

/// How the server responds in the next session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 250 to every command.
    Accept,
    /// 421 to the greeting, then the connection is closed.
    Busy,
    /// This response to `RCPT TO`.
    Refuse(&'static str),
    /// The connection is closed in the middle of the email.
    DropBeforeDot,
    /// The email is accepted, but the connection is closed before the response.
    DropAfterDot,
    /// As `Accept`, but the response to the connection waits for [`Sink::release`].
    Hold,
}

/// What was received in one session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// The email without SMTP dot-stuffing; `None` if none was accepted.
    pub(crate) letter: Option<Vec<u8>>,
}

pub(crate) struct Sink {
    pub(crate) url: String,
    received: Receiver<Received>,
    connected: Receiver<()>,
    release: Sender<()>,
}

impl Sink {
    /// Serves one session for each manner, in this order, and then closes the port.
    pub(crate) fn start(manners: impl IntoIterator<Item = Manner> + Send + 'static) -> Sink {
        Sink::with_extensions(&["8BITMIME"], manners)
    }

    /// As `start`, with these extensions of SMTP.
    pub(crate) fn with_extensions(
        extensions: &'static [&'static str],
        manners: impl IntoIterator<Item = Manner> + Send + 'static,
    ) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (tell, received) = channel();
        let (connect, connected) = channel();
        let (release, released) = channel();
        thread::spawn(move || {
            for manner in manners {
                let (line, _) = listener.accept().unwrap();
                connect.send(()).ok();
                if manner == Manner::Hold {
                    released.recv().ok();
                }
                // A closed connection is an error for the client and intended here.
                let reader = BufReader::new(line.try_clone().unwrap());
                let mut talk = Talk { reader, line, extensions, allowed: Allowed::default() };
                let mut got = Received::default();
                talk.hold(manner, &mut got).ok();
                talk.line.shutdown(Shutdown::Both).ok();
                tell.send(got).ok();
            }
        });
        Sink { url, received, connected, release }
    }

    /// Waits for the begin of a session.
    pub(crate) fn wait_for_session(&self) {
        self.connected.recv().unwrap();
    }

    /// Lets the next session that is held continue.
    pub(crate) fn release(&self) {
        self.release.send(()).unwrap();
    }

    /// What was received in the next session, once it has ended.
    pub(crate) fn next(&self) -> Received {
        self.received.recv().unwrap()
    }
}

struct Talk {
    reader: BufReader<TcpStream>,
    line: TcpStream,
    extensions: &'static [&'static str],
    allowed: Allowed,
}

impl Talk {
    fn hold(&mut self, manner: Manner, got: &mut Received) -> std::io::Result<()> {
        if manner == Manner::Busy {
            return self.say("421 sink.test too busy, try later");
        }
        self.say("220 sink.test")?;
        loop {
            let line = self.read_line()?;
            let utf8 = self.extensions.contains(&"SMTPUTF8");
            let done = match strict::command(&line, utf8) {
                Ok(command) => self.answer(&command, manner, got)?,
                Err(why) => self.say(&format!("500 {why}")).map(|()| false)?,
            };
            if done {
                return Ok(());
            }
        }
    }

    /// Responds to one command; returns whether the session has ended.
    fn answer(&mut self, command: &str, manner: Manner, got: &mut Received) -> std::io::Result<bool> {
        let upper = command.to_ascii_uppercase();
        let said = if upper.starts_with("EHLO") {
            let lines: Vec<String> = self.extensions.iter().map(|name| format!("250-{name}\r\n")).collect();
            format!("250-sink.test\r\n{}250 ENHANCEDSTATUSCODES", lines.concat())
        } else if upper.starts_with("MAIL FROM:") {
            self.allowed = Allowed {
                eight_bit: self.uses(&upper, "8BITMIME", " BODY=8BITMIME"),
                utf8: self.uses(&upper, "SMTPUTF8", " SMTPUTF8"),
            };
            match strict::path(command) {
                Ok(from) => {
                    got.from = from;
                    "250 ok".to_owned()
                }
                Err(why) => format!("501 {why}"),
            }
        } else if upper.starts_with("RCPT TO:") {
            match (manner, strict::path(command)) {
                (Manner::Refuse(answer), _) => answer.to_owned(),
                (_, Err(why)) => format!("501 {why}"),
                (_, Ok(_)) if got.to.len() == RECIPIENTS_MAX => "452 too many recipients".to_owned(),
                (_, Ok(to)) if !(self.allowed.utf8 || to.is_ascii()) => "553 no SMTPUTF8 in MAIL".to_owned(),
                (_, Ok(to)) => {
                    got.to.push(to);
                    "250 ok".to_owned()
                }
            }
        } else if upper == "DATA" {
            return self.data(manner, got);
        } else if upper == "QUIT" {
            return self.say("221 bye").map(|()| true);
        } else {
            "250 ok".to_owned()
        };
        self.say(&said).map(|()| false)
    }

    fn uses(&self, command: &str, extension: &str, option: &str) -> bool {
        self.extensions.contains(&extension) && command.contains(option)
    }

    fn data(&mut self, manner: Manner, got: &mut Received) -> std::io::Result<bool> {
        self.say("354 go on")?;
        if manner == Manner::DropBeforeDot {
            self.read_line()?;
            return Ok(true);
        }
        let letter = self.letter()?;
        if let Err(why) = strict::email(&letter, self.allowed) {
            return self.say(&format!("554 {why}")).map(|()| false);
        }
        got.letter = Some(letter);
        if manner == Manner::DropAfterDot {
            return Ok(true);
        }
        self.say("250 taken").map(|()| false)
    }

    /// The email up to the line that consists of a dot, without dot-stuffing. Only CR LF ends a line.
    fn letter(&mut self) -> std::io::Result<Vec<u8>> {
        let mut letter = Vec::new();
        loop {
            match self.read_line()?.as_slice() {
                b".\r\n" => return Ok(letter),
                [b'.', rest @ ..] => letter.extend_from_slice(rest),
                whole => letter.extend_from_slice(whole),
            }
        }
    }

    /// The bytes up to and with the next CR LF.
    fn read_line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(line)
    }

    fn say(&mut self, answer: &str) -> std::io::Result<()> {
        write!(self.line, "{answer}\r\n")
    }
}
