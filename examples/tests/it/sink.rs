//! [`Sink`], a mail server that records emails and responds as the test sets it.
//!
//! Depends on the standard library alone: it shares no code with the client under test.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

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
}

impl Sink {
    /// Serves one session for each manner, in this order, and then closes the port.
    pub(crate) fn start(manners: impl IntoIterator<Item = Manner> + Send + 'static) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (tell, received) = channel();
        thread::spawn(move || {
            for manner in manners {
                let (line, _) = listener.accept().unwrap();
                // A closed connection is an error for the client and intended here.
                let mut talk = Talk { reader: BufReader::new(line.try_clone().unwrap()), line };
                let mut got = Received::default();
                talk.hold(manner, &mut got).ok();
                talk.line.shutdown(Shutdown::Both).ok();
                tell.send(got).ok();
            }
        });
        Sink { url, received }
    }

    /// What was received in the next session, once it has ended.
    pub(crate) fn next(&self) -> Received {
        self.received.recv().unwrap()
    }
}

struct Talk {
    reader: BufReader<TcpStream>,
    line: TcpStream,
}

impl Talk {
    fn hold(&mut self, manner: Manner, got: &mut Received) -> std::io::Result<()> {
        if manner == Manner::Busy {
            return self.say("421 sink.test too busy, try later");
        }
        self.say("220 sink.test")?;
        loop {
            let command = self.read_command()?;
            let upper = command.to_ascii_uppercase();
            if upper.starts_with("EHLO") {
                self.say("250-sink.test\r\n250 8BITMIME")?;
            } else if upper.starts_with("MAIL FROM:") {
                got.from = between(&command);
                self.say("250 ok")?;
            } else if upper.starts_with("RCPT TO:") {
                match manner {
                    Manner::Refuse(answer) => self.say(answer)?,
                    _ => {
                        got.to.push(between(&command));
                        self.say("250 ok")?;
                    }
                }
            } else if upper == "DATA" {
                self.say("354 go on")?;
                if manner == Manner::DropBeforeDot {
                    self.read_command()?;
                    return Ok(());
                }
                got.letter = Some(self.letter()?);
                if manner == Manner::DropAfterDot {
                    return Ok(());
                }
                self.say("250 taken")?;
            } else if upper == "QUIT" {
                return self.say("221 bye");
            } else {
                self.say("250 ok")?;
            }
        }
    }

    fn letter(&mut self) -> std::io::Result<Vec<u8>> {
        let mut letter = Vec::new();
        loop {
            let mut line = Vec::new();
            self.reader.read_until(b'\n', &mut line)?;
            match line.as_slice() {
                b".\r\n" => return Ok(letter),
                [] => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                [b'.', rest @ ..] => letter.extend_from_slice(rest),
                whole => letter.extend_from_slice(whole),
            }
        }
    }

    fn read_command(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn say(&mut self, answer: &str) -> std::io::Result<()> {
        write!(self.line, "{answer}\r\n")
    }
}

fn between(command: &str) -> String {
    let inside = command.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(address, _)| address.to_owned()).unwrap_or_default()
}
